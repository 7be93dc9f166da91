# SPDX-License-Identifier: Apache-2.0
"""Map files as users name them: a path, or a file URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

from xover_core.errors import MapFormatError


def path_of_map_url(url: str) -> Path:
    """Path that a user means by a path (`~` is the home folder) or `file:///absolute/path`.

    Raises:
        MapFormatError: empty, or a URL of another scheme or host.
    """
    if not url:
        raise MapFormatError("map: no file is named; give a path or file:///absolute/path.")
    if "://" not in url:
        return Path(url).expanduser()
    parts = urlparse(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise MapFormatError(
            f"map {url}: expected a path or file:///absolute/path, got {parts.scheme}://{parts.netloc}."
        )
    return Path(unquote(parts.path))
