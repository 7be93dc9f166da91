# SPDX-License-Identifier: Apache-2.0
"""Large maps made of a real one, to see how localization scales: the real place among places that never were.

A copy of the place is mirrored, shifted, and its descriptors are turned in the space of descriptors, just so far that
its patches are almost as alike to those of the place as patches of different parts of the place are to each other: it
is a distractor, not a duplicate. Turning all descriptors of a copy alike keeps what makes a place a place: its
landmarks are seen again from its keyframes, and its patches are as varied as real ones. Mirroring sees to it that
patches which are still like their originals fit no pose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import MapFormatError
from xover_core.landmark_map.landmark_arrays import take_landmarks
from xover_core.landmark_map.landmark_map import LandmarkMap, MapHeader
from xover_core.landmark_map.map_part import MapPart
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.landmark_map.scene_data import SceneEmbedding, SceneUpdate
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, Keyframe, Landmarks, Scene

# Free space between copies, m.
_GAP = 10.0
# Likeness of the embeddings of a copy's scenes to those of the place: what speaks neither for nor against a scene in
# the calibration of crossover-light (image and image).
SCENE_COSINE = 0.5
# Pairs of keyframes that look away from each other, of which likeness by chance is measured.
_NUM_PAIRS = 15
# Share of that likeness that copies reach; all of it would be reached by the place itself only.
_LIKENESS_SHARE = 0.9
_NUM_BISECTIONS = 8
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySettings:
    """How a map is multiplied.

    Attributes:
        num_landmarks: of the whole map, at least; the last copy is a whole one.
        landmark_share: of the landmarks that a copy keeps; smaller ones give more scenes for the same landmarks.
        keyframe_share: of the keyframes that a copy keeps.
        seed: of every random draw.
    """

    num_landmarks: int
    landmark_share: float = 1.0
    keyframe_share: float = 1.0
    seed: int = 0


def multiply_map(source: Path, target: Path, settings: CopySettings) -> None:
    """Write a map of the place in `source`, whole and as it is, followed by copies.

    One copy at a time is in memory. Signatures are made in the end, as when a map is finished.

    Raises:
        MapFormatError: no map, one without landmarks, or `target` exists already.
    """
    with MapStorage.open(source) as storage:
        place = storage.load()
    if not len(place.blocks):
        raise MapFormatError(f"map {source}: expected landmarks to copy, got none; finish the map first.")
    with MapStorage.create(target, _header_like(place.header)) as storage:
        if place.header.scene_model is not None:
            storage.scenes.begin_model(place.header.scene_model)
        for part in copies(place, settings):
            storage.add_part(part)
        storage.signatures.sign_all()


def copies(place: LandmarkMap, settings: CopySettings) -> Iterator[MapPart]:
    """The place itself, and copies until there are landmarks enough."""
    rng = np.random.default_rng(settings.seed)
    cosine = distractor_cosine(place.keyframes, rng)
    centers = np.array([keyframe.T_map_camera[:3, 3] for keyframe in place.keyframes])
    spacing = float(np.ptp(centers, axis=0).max()) + _GAP
    described = SceneUpdate(views=place.scene_views, embeddings=place.scene_embeddings)
    yield MapPart(scenes=place.scenes, keyframes=tuple(place.keyframes), landmarks=place.landmarks, described=described)
    num_landmarks = len(place.blocks)
    per_copy = max(1, round(num_landmarks * settings.landmark_share))
    num_copies = -(-max(0, settings.num_landmarks - num_landmarks) // per_copy)
    columns = int(np.ceil(np.sqrt(num_copies + 1)))
    for number in range(1, num_copies + 1):
        offset = spacing * np.array([number % columns, number // columns, 0.0])
        turn = rotation_with_cosine(place.header.model.descriptor_dim, cosine, rng)
        yield _copy(place, number, turn, offset, settings, rng)


def distractor_cosine(keyframes: Sequence[Keyframe], rng: np.random.Generator) -> float:
    """How far copies are turned, as the mean cosine of directions before and after.

    Likeness is the median, over patches of a keyframe, of that to the most alike patch of another one. It is measured
    between keyframes of the place that look away from each other as much as any do, and again with the second of them
    turned.
    """
    axes = np.array([keyframe.T_map_camera[:3, 2] for keyframe in keyframes])
    pairs = rng.integers(0, len(keyframes), (50 * _NUM_PAIRS, 2))
    apart = pairs[np.argsort((axes[pairs[:, 0]] * axes[pairs[:, 1]]).sum(axis=1))[:_NUM_PAIRS]]
    descriptors = [[keyframes[row].descriptors[0].astype(np.float32) for row in pair] for pair in apart]
    dim = descriptors[0][0].shape[1]
    wanted = _LIKENESS_SHARE * _likeness(descriptors, np.eye(dim, dtype=np.float32))
    low, high = 0.0, 1.0
    for _ in range(_NUM_BISECTIONS):
        middle = (low + high) / 2
        is_alike = _likeness(descriptors, rotation_with_cosine(dim, middle, rng)) > wanted
        low, high = (low, middle) if is_alike else (middle, high)
    return low


def _likeness(pairs: Sequence[Sequence[Float32Array]], turn: Float32Array) -> float:
    """Median likeness of the most alike patch, the second of each pair turned."""
    return float(np.median([np.median((first @ (second @ turn.T).T).max(axis=1)) for first, second in pairs]))


def rotation_with_cosine(dim: int, cosine: float, rng: np.random.Generator) -> Float32Array:
    """(dim, dim) rotation that leaves vectors, on average over all directions, with this cosine to what they were.

    The exponential of a random skew matrix: its eigenvalues exp(i t w) have the mean cos(t w), so t is found by
    bisection.
    """
    skew = rng.normal(size=(dim, dim)) / np.sqrt(dim)
    angles, vectors = np.linalg.eigh(1j * (skew - skew.T))
    # up to where the mean cosine of this distribution of angles vanishes
    low, high = 0.0, np.pi / 2 / np.sqrt((angles**2).mean())
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.cos(middle * angles).mean() > cosine else (low, middle)
    rotation = (vectors * np.exp(-1j * low * angles)) @ vectors.conj().T
    return np.asarray(rotation.real, np.float32)


def _header_like(header: MapHeader) -> MapHeader:
    """Header of a new map with the same models."""
    return new_header(header.model, header.site_weights, header.frame_id)


def _copy(
    place: LandmarkMap,
    number: int,
    turn: Float32Array,
    offset: Float64Array,
    settings: CopySettings,
    rng: np.random.Generator,
) -> MapPart:
    """One copy, with ids of its own."""
    first_scene = number * max(scene.scene_id for scene in place.scenes)
    num = max(1, round(len(place.keyframes) * settings.keyframe_share))
    kept = np.sort(rng.choice(len(place.keyframes), num, replace=False))
    keyframes = tuple(_copied_keyframe(place.keyframes[row], turn, offset, first_scene) for row in kept)
    return MapPart(
        scenes=tuple(
            Scene(scene_id=scene.scene_id + first_scene, center_map=scene.center_map * _MIRROR + offset)
            for scene in place.scenes
        ),
        keyframes=keyframes,
        landmarks=_copied_landmarks(place, number, turn, offset, first_scene, settings, rng),
        described=SceneUpdate(
            views={i: _disturbed(view, rng).astype(np.float16) for i, view in place.scene_views.items()},
            embeddings=tuple(_copied_embedding(e, first_scene, rng) for e in place.scene_embeddings),
        ),
    )


def _copied_keyframe(keyframe: Keyframe, turn: Float32Array, offset: Float64Array, first_scene: int) -> Keyframe:
    """The keyframe as a mirror would show it, somewhere else; its JPEG stays as it is."""
    order = _mirrored_patches(keyframe)
    T_map_camera = keyframe.T_map_camera * np.outer([*_MIRROR, 1.0], [*_MIRROR, 1.0])
    T_map_camera[:3, 3] += offset
    camera = keyframe.intrinsics
    pixels = keyframe.keypoints_px[order].copy()
    pixels[:, 0] = camera.width - 1 - pixels[:, 0]
    return dataclasses.replace(
        keyframe,
        scene_id=keyframe.scene_id + first_scene,
        T_map_camera=T_map_camera,
        intrinsics=_mirrored_camera(camera),
        keypoints_px=pixels,
        descriptors=tuple(_turned(scale[order], turn) for scale in keyframe.descriptors),
        points_camera=keyframe.points_camera[order] * _MIRROR.astype(np.float32),
    )


def _copied_landmarks(
    place: LandmarkMap,
    number: int,
    turn: Float32Array,
    offset: Float64Array,
    first_scene: int,
    settings: CopySettings,
    rng: np.random.Generator,
) -> Landmarks:
    """Some of the landmarks, where the mirrored ones are."""
    whole = place.landmarks
    num = max(1, round(len(whole) * settings.landmark_share))
    landmarks = take_landmarks(whole, np.sort(rng.choice(len(whole), num, replace=False)))
    orders = {keyframe.keyframe_id: _mirrored_patches(keyframe) for keyframe in place.keyframes}
    seen_by = landmarks.observations
    patches = np.array([orders[i][patch] for i, patch in seen_by.tolist()], np.int64)
    return dataclasses.replace(
        landmarks,
        landmark_ids=landmarks.landmark_ids + number * int(whole.landmark_ids.max() + 1),
        scene_ids=landmarks.scene_ids + first_scene,
        positions_map=landmarks.positions_map * _MIRROR + offset,
        embeddings=_turned(landmarks.embeddings, turn),
        observations=np.stack([seen_by[:, 0], patches], axis=1),
    )


def _copied_embedding(embedding: SceneEmbedding, first_scene: int, rng: np.random.Generator) -> SceneEmbedding:
    return dataclasses.replace(
        embedding, scene_id=embedding.scene_id + first_scene, vector=_disturbed(embedding.vector, rng)
    )


def _mirrored_patches(keyframe: Keyframe) -> NDArray[np.int64]:
    """(N,) which patch each one becomes when the columns of the grid change places; its own inverse."""
    rows, cols = keyframe.grid_shape
    return np.arange(rows * cols).reshape(rows, cols)[:, ::-1].ravel()


def _mirrored_camera(camera: CameraIntrinsics) -> CameraIntrinsics:
    return dataclasses.replace(camera, cx=camera.width - 1 - camera.cx)


def _turned(descriptors: NDArray[np.float16], turn: Float32Array) -> NDArray[np.float16]:
    """(N, D) descriptors after a rotation."""
    return np.asarray(descriptors.astype(np.float32) @ turn.T, np.float16)


def _disturbed(vector: NDArray[np.floating], rng: np.random.Generator) -> Float32Array:
    """A vector of the same length with a cosine of `SCENE_COSINE` to this one."""
    length = float(np.linalg.norm(vector.astype(np.float32)))
    noise = rng.normal(size=len(vector))
    direction = vector.astype(np.float64) / max(length, 1e-9)
    noise -= (noise @ direction) * direction
    noise /= np.linalg.norm(noise)
    return np.asarray(length * (SCENE_COSINE * direction + np.sqrt(1 - SCENE_COSINE**2) * noise), np.float32)
