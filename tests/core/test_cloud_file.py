# SPDX-License-Identifier: Apache-2.0
"""Point clouds from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xover_core.datasets.cloud_file import UNKNOWN_COLOR, read_cloud
from xover_core.errors import DatasetError

POINTS = np.array([[0.0, 1.0, 2.0], [3.5, -1.0, 0.25]])
COLORS = np.array([[255, 0, 10], [1, 2, 3]], np.uint8)


def write_ply(path: Path, *, has_color: bool) -> None:
    names = ["float x", "float y", "float z"] + [f"uchar {c}" for c in ("red", "green", "blue") if has_color]
    rows = np.concatenate([POINTS, COLORS], axis=1) if has_color else POINTS
    header = ["ply", "format ascii 1.0", f"element vertex {len(rows)}", *(f"property {n}" for n in names), "end_header"]
    path.write_text("\n".join([*header, *(" ".join(f"{v:g}" for v in row) for row in rows)]) + "\n")


def test_ply_with_and_without_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    write_ply(path, has_color=True)
    points, colors = read_cloud(path)
    np.testing.assert_array_equal(points, POINTS.astype(np.float32))
    np.testing.assert_array_equal(colors, COLORS)
    write_ply(path, has_color=False)
    points, colors = read_cloud(path)
    np.testing.assert_array_equal(points, POINTS.astype(np.float32))
    assert (colors == UNKNOWN_COLOR).all()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (POINTS, np.full((2, 3), UNKNOWN_COLOR)),
        (np.concatenate([POINTS, COLORS], axis=1), COLORS),
        (np.concatenate([POINTS, COLORS / 255.0], axis=1).astype(np.float32), COLORS),
        (np.concatenate([POINTS.astype(int), COLORS], axis=1), COLORS),
    ],
)
def test_arrays_with_colours_as_bytes_or_shares(tmp_path: Path, rows: np.ndarray, expected: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", rows)
    points, colors = read_cloud(tmp_path / "a.npy")
    np.testing.assert_array_equal(points, rows[:, :3].astype(np.float32))
    assert (points.dtype, colors.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(colors, expected)


def test_points_that_are_nowhere_are_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.concatenate([POINTS, [[np.nan, 0, 0], [np.inf, 0, 0]]]))
    assert len(read_cloud(tmp_path / "a.npy")[0]) == 2


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.zeros((4, 5)), np.zeros(6), np.full((2, 3), np.nan)])
def test_arrays_that_are_no_cloud_are_refused(tmp_path: Path, rows: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(DatasetError, match="expected"):
        read_cloud(tmp_path / "a.npy")


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"not an array")
    np.save(tmp_path / "words.npy", np.array([["a", "b", "c"]]))
    for name, reason in (("a.npy", "cannot be read"), ("words.npy", "expected numbers"), ("missing.npy", "cannot be")):
        with pytest.raises(DatasetError, match=reason):
            read_cloud(tmp_path / name)
