# SPDX-License-Identifier: Apache-2.0
"""Folders for what is made on this machine for this machine, and can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def machine_cache(setting: str, name: str) -> Path:
    """A folder by name, within the one of the setting `inference.cache_folder`, or the user's cache; not made yet."""
    # expanduser, unlike Path.home, has an answer for users without a home, as in containers
    root = setting or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "xover")
    return Path(root).expanduser() / name
