#!/usr/bin/env bash
# Runs a command with ROS 2 and xover sourced: the entrypoint of the images, and what their health check calls.
set -e
# shellcheck source=/dev/null
. "/opt/ros/${ROS_DISTRO}/setup.bash"
# shellcheck source=/dev/null
. /opt/xover/install/local_setup.bash
exec "$@"
