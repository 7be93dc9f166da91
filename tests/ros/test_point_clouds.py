# SPDX-License-Identifier: Apache-2.0
"""Point clouds as messages, in the layouts that cameras and tools use."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField
from xover_ros.map_messages import landmark_cloud
from xover_ros.message_conversions import byte_array
from xover_ros.point_clouds import colored_points

from xover_core.errors import SensorDataError
from xover_core.landmark_map.landmark_arrays import empty_landmarks

POINTS = np.array([[0.5, 1.0, 2.0], [3.5, -1.0, 0.25], [0.0, 0.0, 1.0], [9.0, 8.0, 7.0]])
COLORS = np.array([[255, 0, 10], [1, 2, 3], [0, 0, 255], [200, 100, 50]], np.uint8)
PACKED = (COLORS.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(axis=1).astype(np.uint32)
_DATATYPES = {"f4": PointField.FLOAT32, "f8": PointField.FLOAT64, "u4": PointField.UINT32, "u1": PointField.UINT8}


def message(columns: dict[str, np.ndarray], *, width: int = 4, padding: int = 0, order: str = "<") -> PointCloud2:
    """A message with these columns, a gap after each point, and `padding` bytes after each row."""
    formats = [order + column.dtype.str[1:] for column in columns.values()]
    offsets = np.cumsum([0] + [np.dtype(f).itemsize for f in formats])
    step = int(offsets[-1]) + 4
    layout = np.dtype({"names": list(columns), "formats": formats, "offsets": offsets[:-1].tolist(), "itemsize": step})
    rows = np.zeros(len(POINTS), layout)
    for name, column in columns.items():
        rows[name] = column
    lines = [rows[i : i + width].tobytes() + bytes(padding) for i in range(0, len(rows), width)]
    return PointCloud2(
        height=len(rows) // width,
        width=width,
        point_step=step,
        row_step=width * step + padding,
        is_bigendian=order == ">",
        fields=[
            PointField(name=name, offset=int(offset), datatype=_DATATYPES[column.dtype.str[1:]], count=1)
            for (name, column), offset in zip(columns.items(), offsets[:-1], strict=True)
        ],
        data=byte_array(np.frombuffer(b"".join(lines), np.uint8)),
    )


def positions(kind: str = "f4") -> dict[str, np.ndarray]:
    return {name: POINTS[:, i].astype(kind) for i, name in enumerate("xyz")}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "color",
    [
        {"rgb": PACKED.view(np.float32)},
        {"rgba": PACKED},
        {name: COLORS[:, i] for i, name in enumerate("rgb")},
    ],
)
def test_colours_in_every_layout(color: dict[str, np.ndarray], order: str) -> None:
    cloud = colored_points(message({**positions(), **color}, order=order))
    np.testing.assert_array_equal(cloud.points, POINTS.astype(np.float32))
    np.testing.assert_array_equal(cloud.colors, COLORS)


def test_organised_clouds_with_padded_rows_and_doubles() -> None:
    cloud = colored_points(message(positions("f8"), width=2, padding=7))
    np.testing.assert_array_equal(cloud.points, POINTS.astype(np.float32))
    assert len(set(cloud.colors.ravel().tolist())) == 1


def test_points_that_are_nowhere_are_left_out() -> None:
    columns = {**positions(), "rgba": PACKED}
    columns["z"] = np.array([np.nan, 1.0, np.inf, 2.0], np.float32)
    np.testing.assert_array_equal(colored_points(message(columns)).colors, COLORS[[1, 3]])
    columns["z"] = np.full(4, np.nan, np.float32)
    with pytest.raises(SensorDataError, match="none of them finite"):
        colored_points(message(columns))


@pytest.mark.parametrize("change", [{"width": 5}, {"point_step": 3}, {"row_step": 8}, {"height": 0}, {"fields": []}])
def test_sizes_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    broken = message(positions())
    for name, value in change.items():
        setattr(broken, name, value)
    with pytest.raises(SensorDataError, match="point cloud"):
        colored_points(broken)


def test_our_own_cloud_can_be_read() -> None:
    landmarks = dataclasses.replace(
        empty_landmarks(8, 0.2),
        landmark_ids=np.arange(4),
        scene_ids=np.ones(4, np.int64),
        positions_map=POINTS,
        scores=np.ones(4, np.float32),
    )
    cloud = colored_points(landmark_cloud(landmarks, 0, "map"))
    np.testing.assert_array_equal(cloud.points, POINTS.astype(np.float32))
