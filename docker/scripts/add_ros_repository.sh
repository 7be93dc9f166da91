#!/usr/bin/env bash
# Adds the packages of ROS 2 (packages.ros.org) and their key to apt. Needs curl.
set -euo pipefail

# of github.com/ros-infrastructure/ros-apt-source
version=1.2.0

# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
package=$(mktemp --suffix=.deb)
curl --fail --silent --show-error --location --output "$package" \
    "https://github.com/ros-infrastructure/ros-apt-source/releases/download/${version}/ros2-apt-source_${version}.${codename}_all.deb"
dpkg --install "$package"
rm "$package"
