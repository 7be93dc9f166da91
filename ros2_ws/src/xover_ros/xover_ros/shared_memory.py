# SPDX-License-Identifier: Apache-2.0
"""Gives Fast DDS a shared-memory segment that holds images; its default is smaller than one 640x480 picture."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"


def shared_memory_profile() -> Path:
    """Path of the Fast DDS profile that comes with this package."""
    return Path(str(resources.files("xover_ros") / "profiles" / "fastdds_shared_memory.xml"))


def use_shared_memory_profile() -> bool:
    """Make this process use the profile unless the user has set one; call it before `rclpy.init()`.

    Returns:
        Whether our profile is in use. Another middleware than Fast DDS ignores it.
    """
    wanted = str(shared_memory_profile())
    return os.environ.setdefault(PROFILE_VARIABLE, wanted) == wanted
