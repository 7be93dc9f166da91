# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 messages -> point clouds with colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from xover_core.encoders.scene_encoder import ColoredPoints
from xover_core.errors import SensorDataError

_UNKNOWN_COLOR = 127  # of points whose colour nobody knows
_TYPES = {
    PointField.INT8: "i1",
    PointField.UINT8: "u1",
    PointField.INT16: "i2",
    PointField.UINT16: "u2",
    PointField.INT32: "i4",
    PointField.UINT32: "u4",
    PointField.FLOAT32: "f4",
    PointField.FLOAT64: "f8",
}
_PACKED = ("rgb", "rgba")


def colored_points(message: PointCloud2) -> ColoredPoints:
    """The points of a message that are finite, with their colours.

    Colours are read from a field `rgb` or `rgba`, packed as 0xRRGGBB the way point cloud tools do, or from fields `r`,
    `g` and `b`; without either, points are gray.

    Raises:
        SensorDataError: the sizes do not fit, there are no x, y, z, or no point is finite.
    """
    rows = _rows(message)
    names = rows.dtype.names or ()
    if not {"x", "y", "z"} <= set(names):
        raise SensorDataError(f"point cloud: expected fields x, y and z, got {', '.join(names) or 'none'}.")
    points = np.stack([rows[name].astype(np.float32) for name in ("x", "y", "z")], axis=1)
    is_finite = np.isfinite(points).all(axis=1)
    if not is_finite.any():
        raise SensorDataError(f"point cloud: expected finite points, got {len(points)} points and none of them finite.")
    return ColoredPoints(points=points[is_finite], colors=_colors(rows)[is_finite])


def _rows(message: PointCloud2) -> NDArray[np.void]:
    """(N,) points with their fields."""
    unknown = [field.name for field in message.fields if field.datatype not in _TYPES]
    num_bytes = len(message.data)
    height, width, step = message.height, message.width, message.point_step
    row_step = message.row_step or width * step
    fits = not unknown and all(f.offset + np.dtype(_TYPES[f.datatype]).itemsize <= step for f in message.fields)
    if not fits or height * width == 0 or width * step > row_step or (height - 1) * row_step + width * step > num_bytes:
        raise SensorDataError(
            f"point cloud: its {num_bytes} bytes do not hold {height} x {width} points of {step} bytes in rows of"
            f" {row_step} with the fields that it names; is it filled in?"
        )
    order = ">" if message.is_bigendian else "<"
    layout = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": [order + _TYPES[field.datatype] for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": step,
        }
    )
    data = np.frombuffer(message.data, np.uint8)
    rows = np.ndarray((height, width), layout, data.data, 0, (row_step, step))
    return rows.reshape(-1)


def _colors(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    """(N, 3) RGB."""
    names = rows.dtype.names or ()
    packed = next((name for name in _PACKED if name in names and rows.dtype[name].itemsize == 4), "")
    if packed:
        # whatever type it is declared as, its bits are the colour
        own = rows.dtype[packed]
        values = np.ascontiguousarray(rows[packed]).view(np.dtype("u4").newbyteorder(own.byteorder)).astype(np.uint32)
        return np.stack([values >> 16 & 255, values >> 8 & 255, values & 255], axis=1).astype(np.uint8)
    if {"r", "g", "b"} <= set(names):
        return np.stack([rows[name] for name in ("r", "g", "b")], axis=1).astype(np.uint8)
    return np.full((len(rows), 3), _UNKNOWN_COLOR, np.uint8)
