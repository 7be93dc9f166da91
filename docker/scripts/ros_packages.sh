#!/usr/bin/env bash
# Prints the names that packages of ROS have in apt, for the distribution $ROS_DISTRO:
#
#   ros_packages.sh FILE     a name a line, as package.xml has them; # begins a comment
set -euo pipefail
sed --expression='s/#.*//; s/[[:space:]]*$//; /^$/d; y/_/-/' --expression="s/^/ros-${ROS_DISTRO}-/" "$1"
