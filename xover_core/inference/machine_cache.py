# SPDX-License-Identifier: Apache-2.0
"""Folders for what is made on this machine for this machine, and can be made again."""

from __future__ import annotations

import logging
import os
from pathlib import Path

_LOGGER = logging.getLogger(__name__)


def machine_cache(setting: str, name: str) -> Path:
    """A folder by name, within the one of the setting `inference.cache_folder`, or the user's cache; not made yet."""
    # expanduser, unlike Path.home, has an answer for users without a home, as in containers
    root = setting or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "xover")
    return Path(root).expanduser() / name


def make_machine_cache(setting: str, name: str) -> Path | None:
    """The same, made now; None with a warning where it cannot be written to."""
    folder = machine_cache(setting, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if os.access(folder, os.W_OK):
            return folder
        reason = "no right to write"
    _LOGGER.warning("%s cannot be used (%s), and nothing is kept there; see inference.cache_folder", folder, reason)
    return None
