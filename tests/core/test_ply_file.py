# SPDX-License-Identifier: Apache-2.0
"""Vertices of PLY files: the same from text and both byte orders, whatever lies before or behind them."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_rooms import write_ply

from xover_core.datasets.ply_file import read_ply_vertices
from xover_core.errors import DatasetError

COLUMNS = {
    "x": np.array([0.5, -1.25, 3e-5], "<f4"),
    "id": np.array([0, 7, 65535], "<u2"),
    "red": np.array([0, 128, 255], "u1"),
    "time": np.array([1e300, -2.0, 0.1], "<f8"),
}
KINDS = ("ascii", "binary_little_endian", "binary_big_endian")


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_that_were_written(tmp_path, kind):
    write_ply(tmp_path / "a.ply", COLUMNS, kind)
    vertices = read_ply_vertices(tmp_path / "a.ply")
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(vertices.columns(name)[:, 0], values)
    np.testing.assert_array_equal(vertices.columns("red", "id"), np.stack([COLUMNS["red"], COLUMNS["id"]], axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_no_vertices_are_no_rows(tmp_path, kind):
    write_ply(tmp_path / "a.ply", {"x": np.zeros(0, "<f4"), "y": np.zeros(0, "<f4")}, kind)
    assert read_ply_vertices(tmp_path / "a.ply").columns("x", "y").shape == (0, 2)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("ascii", b"9 8\n7 6\n1.5\n2.5\n"), ("binary_little_endian", bytes(16) + np.array([1.5, 2.5], "<f4").tobytes())],
)
def test_elements_before_the_vertices_are_passed_over(tmp_path, kind, body):
    header = f"ply\nformat {kind} 1.0\nelement camera 2\nproperty int a\nproperty float b\nelement vertex 2\n"
    (tmp_path / "a.ply").write_bytes(header.encode() + b"property float x\nend_header\n" + body)
    np.testing.assert_array_equal(read_ply_vertices(tmp_path / "a.ply").columns("x")[:, 0], [1.5, 2.5])


def test_windows_line_ends_in_text(tmp_path):
    text = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty uchar red\nend_header\n1.5 3\n"
    (tmp_path / "a.ply").write_bytes(text.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(read_ply_vertices(tmp_path / "a.ply").columns("x", "red"), [[1.5, 3]])


HEADER = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n"
BROKEN = {
    "other file": ("solid cube\n", "expected a PLY file"),
    "endless header": ("ply\nformat ascii 1.0\n", "expected a PLY file"),
    "other format": (HEADER.replace("ascii", "binary_middle_endian"), "expected the format binary_little_endian"),
    "no vertices": (HEADER.replace("vertex", "face"), "expected an element vertex"),
    "no count": (HEADER.replace("vertex 2", "vertex two"), "element NAME COUNT"),
    "list": (HEADER.replace("float x", "list uchar int x"), "element vertex: expected numbers only"),
    "cut text": (HEADER + "1\n", "expected 2 vertices of 1 numbers"),
    "words": (HEADER + "1\nx\n", "expected numbers for each vertex"),
    "ragged": (HEADER + "1\n2 3\n", "expected 2 vertices of 1 numbers"),
    "cut binary": (HEADER.replace("ascii", "binary_little_endian") + "1234", "expected 8 bytes"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_sentence(tmp_path, case):
    content, text = BROKEN[case]
    (tmp_path / "a.ply").write_text(content)
    with pytest.raises(DatasetError, match=text) as caught:
        read_ply_vertices(tmp_path / "a.ply")
    assert "\n" not in str(caught.value)


def test_missing_file_and_property(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_ply_vertices(tmp_path / "a.ply")
    write_ply(tmp_path / "a.ply", COLUMNS)
    with pytest.raises(DatasetError, match="expected vertices with x, y, got x, id, red, time"):
        read_ply_vertices(tmp_path / "a.ply").columns("x", "y")
