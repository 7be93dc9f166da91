# SPDX-License-Identifier: Apache-2.0
"""The map as RViz shows it: landmarks as spheres and as a point cloud, names of scenes as text."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from xover_core.types import Landmarks, Scene
from xover_ros.message_conversions import byte_array, header

MAX_SPHERES = 5000  # RViz stays fluid up to about here; the cloud has them all
_CLOUD_TYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("scene_id", "<i4")])
_GOLDEN_RATIO = 0.618034


def landmark_cloud(landmarks: Landmarks, stamp_ns: int, map_frame: str) -> PointCloud2:
    """All landmarks as points with their score as intensity; no landmarks give an empty cloud."""
    points = np.zeros(len(landmarks), dtype=_CLOUD_TYPE)
    if len(landmarks):
        points["x"], points["y"], points["z"] = landmarks.positions_map.T
        points["intensity"] = landmarks.scores
        points["scene_id"] = landmarks.scene_ids
    fields = [
        PointField(
            name=name,
            offset=_CLOUD_TYPE.fields[name][1],  # type: ignore[index]
            datatype=PointField.INT32 if name == "scene_id" else PointField.FLOAT32,
            count=1,
        )
        for name in _CLOUD_TYPE.names or ()
    ]
    return PointCloud2(
        header=header(stamp_ns, map_frame),
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=_CLOUD_TYPE.itemsize,
        row_step=_CLOUD_TYPE.itemsize * len(points),
        data=byte_array(points),
        is_dense=True,
    )


def landmark_markers(landmarks: Landmarks, scenes: tuple[Scene, ...], stamp_ns: int, map_frame: str) -> MarkerArray:
    """The best landmarks as spheres of their radius, coloured by scene, and a text at the centre of each scene."""
    best = np.argsort(-landmarks.scores, kind="stable")[:MAX_SPHERES]
    spheres = Marker(header=header(stamp_ns, map_frame), ns="landmarks", type=Marker.SPHERE_LIST, action=Marker.ADD)
    spheres.pose.orientation.w = 1.0
    spheres.scale.x = spheres.scale.y = spheres.scale.z = max(landmarks.radius, 0.02)
    spheres.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    spheres.points = [Point(x=x, y=y, z=z) for x, y, z in landmarks.positions_map[best].tolist()]
    spheres.colors = [_scene_color(int(scene_id)) for scene_id in landmarks.scene_ids[best]]
    clear = Marker(header=header(stamp_ns, map_frame), action=Marker.DELETEALL)
    return MarkerArray(markers=[clear, spheres, *(_scene_text(scene, stamp_ns, map_frame) for scene in scenes)])


def _scene_text(scene: Scene, stamp_ns: int, map_frame: str) -> Marker:
    marker = Marker(header=header(stamp_ns, map_frame), ns="scenes", id=scene.scene_id % 2**31)
    marker.type, marker.action, marker.text = Marker.TEXT_VIEW_FACING, Marker.ADD, scene.name
    marker.pose.position.x, marker.pose.position.y, marker.pose.position.z = (float(v) for v in scene.center_map)
    marker.pose.orientation.w = 1.0
    marker.scale.z = 0.3
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    return marker


def _scene_color(scene_id: int) -> ColorRGBA:
    """A colour for each scene; neighbours in number are far apart in hue."""
    hue = scene_id * _GOLDEN_RATIO % 1.0 * 6
    red, green, blue = (float(np.clip(abs((hue + shift) % 6 - 3) - 1, 0, 1)) for shift in (0, 4, 2))
    return ColorRGBA(r=red, g=green, b=blue, a=0.8)
