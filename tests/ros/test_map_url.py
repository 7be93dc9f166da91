# SPDX-License-Identifier: Apache-2.0
"""Map files by path and by URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from xover_ros.map_url import path_of_map_url

from xover_core.errors import MapFormatError


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("maps/a.xover", "maps/a.xover"),
        ("/maps/a b.xover", "/maps/a b.xover"),
        ("file:///maps/a%20b.xover", "/maps/a b.xover"),
        ("file://localhost/maps/a.xover", "/maps/a.xover"),
        ("~/a.xover", str(Path.home() / "a.xover")),
    ],
)
def test_paths(url: str, path: str) -> None:
    assert path_of_map_url(url) == Path(path)


@pytest.mark.parametrize("url", ["", "http://host/a.xover", "file://other/a.xover", "package://p/a.xover"])
def test_what_is_no_file_is_refused(url: str) -> None:
    with pytest.raises(MapFormatError):
        path_of_map_url(url)
