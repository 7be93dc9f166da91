# SPDX-License-Identifier: Apache-2.0
"""Keyframes, texts and drawings of a scene -> its embedding in each modality that an encoder knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.scene_encoder import ColoredPoints, SceneEncoder
from xover_core.geometry.camera import scale_pixels
from xover_core.geometry.pose_sampling import farthest_poses
from xover_core.geometry.transforms import transform_points
from xover_core.geometry.upright import upright_rotation
from xover_core.landmark_map.scene_data import SceneEmbedding, SceneSource
from xover_core.landmark_map.thumbnails import decode_thumbnail
from xover_core.types import Float32Array, Keyframe, Mat4, SceneModality

# More points than this are thinned out at random; bounds the time for a large scene to that for a room.
MAX_CLOUD_POINTS = 50_000


def embed_views(
    encoder: SceneEncoder,
    scene_id: int,
    T_map_camera: Sequence[Mat4],
    views: Sequence[NDArray[np.float16]],
    max_views: int,
) -> list[SceneEmbedding]:
    """Embed a scene from descriptions of its keyframes, of which those far from each other are chosen.

    Returns:
        One embedding; none without a keyframe or when the encoder knows no images.
    """
    if not views or SceneModality.IMAGE not in encoder.modalities:
        return []
    chosen = farthest_poses(np.stack(T_map_camera), max_views)
    upright = np.eye(4)
    upright[:3, :3] = upright_rotation(T_map_camera)
    placed = np.stack([upright @ T_map_camera[i] for i in chosen])
    vector = encoder.embed_views(np.stack([views[i] for i in chosen]).astype(np.float32), placed)
    return [SceneEmbedding(scene_id=scene_id, modality=SceneModality.IMAGE, num_sources=len(views), vector=vector)]


def embed_cloud(encoder: SceneEncoder, scene_id: int, keyframes: Sequence[Keyframe]) -> list[SceneEmbedding]:
    """Embed a scene from the points of its keyframes.

    Returns:
        One embedding; none without a point or when the encoder knows no point clouds.
    """
    cloud = colored_cloud(keyframes) if SceneModality.POINT_CLOUD in encoder.modalities else None
    if cloud is None:
        return []
    vector = encoder.embed_point_cloud(cloud)
    kind = SceneModality.POINT_CLOUD
    return [SceneEmbedding(scene_id=scene_id, modality=kind, num_sources=len(keyframes), vector=vector)]


def embed_told(encoder: SceneEncoder, sources: Sequence[SceneSource]) -> list[SceneEmbedding]:
    """Embed scenes from what users told of them: all texts of a scene as one, and its drawing.

    Raises:
        SensorDataError: the encoder finds nothing in a text that it could use.
    """
    by_scene: dict[int, list[SceneSource]] = {}
    for source in sources:
        by_scene.setdefault(source.scene_id, []).append(source)
    embedded = []
    for scene_id, told in by_scene.items():
        texts = [source.text for source in told if source.modality is SceneModality.TEXT]
        if texts and SceneModality.TEXT in encoder.modalities:
            kind, vector = SceneModality.TEXT, encoder.embed_text(" ".join(texts))
            embedded.append(SceneEmbedding(scene_id=scene_id, modality=kind, num_sources=len(texts), vector=vector))
        plans = [source for source in told if source.modality is SceneModality.FLOORPLAN]
        if plans and SceneModality.FLOORPLAN in encoder.modalities:
            kind, vector = SceneModality.FLOORPLAN, encoder.embed_floorplan(plans[-1].image, plans[-1].pixels_per_m)
            embedded.append(SceneEmbedding(scene_id=scene_id, modality=kind, num_sources=1, vector=vector))
    return embedded


def colored_cloud(keyframes: Sequence[Keyframe]) -> ColoredPoints | None:
    """The patches' points of some keyframes with the colours of their stored images.

    Returns:
        At most `MAX_CLOUD_POINTS` about their mean, in the map's orientation, or with z up where the map's is clearly
        not; None when there is no point at all.

    Raises:
        MapFormatError: a stored image is no JPEG.
    """
    parts = [_colored_points(keyframe) for keyframe in keyframes]
    points = np.concatenate([points for points, _ in parts]) if parts else np.zeros((0, 3))
    if not len(points):
        return None
    colors = np.concatenate([colors for _, colors in parts])
    if len(points) > MAX_CLOUD_POINTS:
        rows = np.sort(np.random.default_rng(0).permutation(len(points))[:MAX_CLOUD_POINTS])
        points, colors = points[rows], colors[rows]
    upright = upright_rotation([keyframe.T_map_camera for keyframe in keyframes])
    return ColoredPoints(points=((points - points.mean(axis=0)) @ upright.T).astype(np.float32), colors=colors)


def _colored_points(keyframe: Keyframe) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(P, 3) points in the map and (P, 3) colours of the patches of a keyframe that have a point."""
    rows = np.flatnonzero(np.isfinite(keyframe.points_camera).all(axis=1))
    if not len(rows):
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    rgb = decode_thumbnail(keyframe.thumbnail_jpeg)
    height, width = rgb.shape[:2]
    camera = keyframe.intrinsics
    pixels = np.rint(scale_pixels(keyframe.keypoints_px[rows], width / camera.width, height / camera.height))
    columns, lines = np.clip(pixels, 0, (width - 1, height - 1)).astype(np.int64).T
    return transform_points(keyframe.T_map_camera, keyframe.points_camera[rows]), rgb[lines, columns]


def by_scene(keyframes: Sequence[Keyframe]) -> Mapping[int, list[Keyframe]]:
    """Keyframes of each scene, scenes by id."""
    groups: dict[int, list[Keyframe]] = {}
    for keyframe in sorted(keyframes, key=lambda k: (k.scene_id, k.keyframe_id)):
        groups.setdefault(keyframe.scene_id, []).append(keyframe)
    return groups


def as_stored_view(view: Float32Array) -> NDArray[np.float16]:
    """A description as a map keeps it."""
    return view.astype(np.float16)
