# SPDX-License-Identifier: Apache-2.0
"""The data that packages hand to each other: frozen, typed, checked at construction.

Frames and units: `T_a_b` (4, 4) float64 takes coordinates in b to a; metres, radians, nanoseconds. Camera frames
are optical: x right, y down, z forward. A pixel's centre has integer coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import GeometryError, SensorDataError

Mat4 = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


def as_pose(value: NDArray[np.floating], name: str) -> Mat4:
    """Return `value` as a read-only (4, 4) float64 rigid transform.

    Raises:
        GeometryError: wrong shape, NaN, or a rotation part that is not orthonormal to 1e-3.
    """
    pose = np.array(value, dtype=np.float64)
    if pose.shape != (4, 4):
        raise GeometryError(f"{name}: expected a (4, 4) transform, got shape {pose.shape}.")
    rotation = pose[:3, :3]
    is_rigid = np.isfinite(pose).all() and np.abs(rotation.T @ rotation - np.eye(3)).max() < 1e-3
    if not is_rigid or np.linalg.det(rotation) < 0 or np.abs(pose[3] - (0, 0, 0, 1)).max() > 1e-9:
        raise GeometryError(
            f"{name}: expected a rigid transform (finite, orthonormal rotation), got {pose.round(4).tolist()}."
        )
    pose.flags.writeable = False
    return pose


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraIntrinsics:
    """A pinhole camera without distortion, in pixels; pixel centres at integer coordinates."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        """Check that the values describe a camera."""
        values = (self.fx, self.fy, self.cx, self.cy)
        if not np.isfinite(values).all() or min(self.fx, self.fy) <= 0 or min(self.width, self.height) < 1:
            raise SensorDataError(
                "camera intrinsics: expected finite values, positive focal lengths and a positive size, got"
                f" fx={self.fx} fy={self.fy} cx={self.cx} cy={self.cy} {self.width}x{self.height};"
                " is CameraInfo filled in?"
            )

    @property
    def matrix(self) -> Float64Array:
        """The (3, 3) camera matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class RgbdFrame:
    """One colour image with registered depth, as every part of xover after the adapters sees it.

    Attributes:
        stamp_ns: time of exposure, nanoseconds.
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 metres along the optical axis, 0 where there is no reading; None for a colour-only query.
        intrinsics: of the colour image, to which depth is registered.
        T_odom_camera: the camera in the odometry frame at `stamp_ns`, None when no odometry is known.
        camera_frame_id: name of the optical frame, for logs and messages.
    """

    stamp_ns: int
    rgb: NDArray[np.uint8]
    depth: Float32Array | None
    intrinsics: CameraIntrinsics
    T_odom_camera: Mat4 | None = None
    camera_frame_id: str = "camera"

    def __post_init__(self) -> None:
        """Check shapes and dtypes against the intrinsics."""
        size = (self.intrinsics.height, self.intrinsics.width)
        if self.rgb.shape != (*size, 3) or self.rgb.dtype != np.uint8:
            raise SensorDataError(
                f"colour image of {self.camera_frame_id}: expected uint8 {(*size, 3)} as its camera info says,"
                f" got {self.rgb.dtype} {self.rgb.shape}."
            )
        if self.depth is not None and (self.depth.shape != size or self.depth.dtype != np.float32):
            raise SensorDataError(
                f"depth image of {self.camera_frame_id}: expected float32 {size} registered to colour,"
                f" got {self.depth.dtype} {self.depth.shape}."
            )
        if self.T_odom_camera is not None:
            object.__setattr__(self, "T_odom_camera", as_pose(self.T_odom_camera, "T_odom_camera"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What identifies the model that made a descriptor; a map is bound to it.

    Attributes:
        name: name in `models/manifest.yaml`, for example `rootsift-pca64`.
        checksum: sha256 hex digest over weights and the settings that change the output.
        descriptor_dim: D.
        radii: the radius rho in metres of each scale, finest first.
    """

    name: str
    checksum: str
    descriptor_dim: int
    radii: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFeatures:
    """Descriptors on a regular patch grid of one image, row by row.

    Attributes:
        grid_shape: (rows, cols); N = rows * cols.
        keypoints_px: (N, 2) float32 patch centres (u, v) in the pixels of the image that was given.
        descriptors: for each scale (N, D) float32 of L2 norm 1, or less where a patch is less distinctive; a row of
            zeros where it has no content. Those that lie on a GPU are copied from there when one is asked for.
    """

    grid_shape: tuple[int, int]
    keypoints_px: Float32Array
    descriptors: Sequence[Float32Array]

    @property
    def finest(self) -> Float32Array:
        """The (N, D) descriptors of the smallest radius."""
        return self.descriptors[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyframe:
    """A stored view: its pose in the map, and a grid of patches with descriptor and 3D point each.

    Attributes:
        keyframe_id: unique in the map, positive; 0 while not stored yet.
        scene_id: the scene it belongs to.
        stamp_ns: time of exposure.
        T_map_camera: (4, 4).
        intrinsics: of the original image.
        grid_shape: (rows, cols) of the patch grid.
        keypoints_px: (N, 2) float32, pixels of the original image.
        descriptors: for each scale (N, D) float16, of L2 norm at most 1.
        points_camera: (N, 3) float32 in the camera frame, NaN where there is no depth.
        thumbnail_jpeg: the colour image as JPEG, for people and for debug views.
    """

    keyframe_id: int
    scene_id: int
    stamp_ns: int
    T_map_camera: Mat4
    intrinsics: CameraIntrinsics
    grid_shape: tuple[int, int]
    keypoints_px: Float32Array
    descriptors: tuple[NDArray[np.float16], ...]
    points_camera: Float32Array
    thumbnail_jpeg: bytes


class SceneModality(str, Enum):
    """What a scene can be described by; the values are written to files and messages."""

    IMAGE = "image"
    POINT_CLOUD = "point_cloud"
    CAD = "cad"
    FLOORPLAN = "floorplan"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A room or a region of that size.

    Attributes:
        scene_id: unique in the map, positive.
        center_map: (3,) centroid of the points seen from its keyframes, metres.
        building: optional names that answers carry; empty when unknown.
    """

    scene_id: int
    center_map: Float64Array
    building: str = ""
    floor: str = ""
    room: str = ""

    @property
    def name(self) -> str:
        """`building/floor/room` without the unknown parts, or `scene N`."""
        return "/".join(p for p in (self.building, self.floor, self.room) if p) or f"scene {self.scene_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """The selected landmarks of a map as parallel arrays; M = 0 is a valid map.

    Attributes:
        landmark_ids: (M,) int64, unique.
        scene_ids: (M,) int64.
        positions_map: (M, 3) float64 metres.
        radius: rho, metres.
        embeddings: (M, D) float16, L2-normalised.
        scores: (M,) float32 in [0, 1]; how well the embedding finds its own patches again.
        observation_offsets: (M + 1,) int64; landmark i was seen by rows offsets[i]:offsets[i + 1] of `observations`.
        observations: (O, 2) int64 rows of (keyframe_id, patch index).
    """

    landmark_ids: NDArray[np.int64]
    scene_ids: NDArray[np.int64]
    positions_map: Float64Array
    radius: float
    embeddings: NDArray[np.float16]
    scores: Float32Array
    observation_offsets: NDArray[np.int64]
    observations: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of landmarks M."""
        return len(self.landmark_ids)


class LocalizationState(IntEnum):
    """What the localizer can say; the numbers are those of `xover_msgs/LocalizationState`."""

    UNKNOWN = 0
    SCENE_ONLY = 1
    HYPOTHESES = 2
    LOCALIZED = 3
    LOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneMatch:
    """A candidate scene. `probability` sums to at most 1 over all scenes; the rest is "none of these"."""

    scene_id: int
    name: str
    probability: float
    similarity: float
    modality: str = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchMatches:
    """Patch correspondences between a query and one keyframe, best first, with the evidence for people.

    Attributes:
        keyframe_id: of the map.
        query_px: (M, 2) float32.
        keyframe_px: (M, 2) float32.
        similarities: (M,) float32 cosine.
        is_inlier: (M,) bool, of the pose that was found; all False without one.
    """

    keyframe_id: int
    query_px: Float32Array
    keyframe_px: Float32Array
    similarities: Float32Array
    is_inlier: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePose:
    """The query camera relative to a keyframe: from the best hypothesis, else from the 5-point solver.

    Attributes:
        keyframe_id: of the map.
        T_keyframe_query: (4, 4); translation of unit length when `is_metric` is False.
        is_metric: whether the translation has its true length.
        num_inliers: correspondences that agree with the pose.
        num_matches: correspondences that were offered.
    """

    keyframe_id: int
    T_keyframe_query: Mat4
    is_metric: bool
    num_inliers: int
    num_matches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseHypothesis:
    """A possible camera pose with its evidence.

    Attributes:
        T_map_camera: (4, 4).
        covariance: (6, 6) in the order x y z roll pitch yaw (metres, radians) about the map axes, as in ROS.
        probability: calibrated probability that the pose is within 1 m and 30 deg.
        scene_id: scene of the best keyframe.
        keyframe_id: keyframe with most inliers.
        num_inliers: 2D-3D inliers over all keyframes used.
        inlier_ratio: inliers / matches offered.
        reprojection_error_px: median over inliers; NaN when unknown.
        depth_agreement: share of compared depth readings that agree with the map in [0, 1]; NaN without depth.
        see_through: share of them that look through what the map says is solid; NaN without depth.
        num_compared: depth readings that were compared with the map.
        rival_ratio: inliers of the best other pose over those of this one; 0 without a rival.
    """

    T_map_camera: Mat4
    covariance: Float64Array
    probability: float
    scene_id: int
    keyframe_id: int
    num_inliers: int
    inlier_ratio: float
    reprojection_error_px: float
    depth_agreement: float
    see_through: float = float("nan")
    num_compared: int = 0
    rival_ratio: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizationResult:
    """The answer to one frame. A pose is given in state LOCALIZED only.

    Attributes:
        stamp_ns: of the frame.
        state: see `LocalizationState`.
        reason: one sentence for people.
        T_map_camera: (4, 4) when LOCALIZED, else None.
        covariance: (6, 6) of `T_map_camera`, else None.
        probability: of the pose when LOCALIZED, else of the best hypothesis (0 without one).
        T_map_odom: (4, 4) when LOCALIZED and the frame has odometry, else None.
        hypotheses: ranked, best first; may be empty.
        scenes: ranked, best first.
        relative_pose: to the best keyframe; None where neither a hypothesis nor the 5-point solver gives one.
        matches: to the best keyframe.
        timings_ms: (stage, milliseconds) in order of execution.
    """

    stamp_ns: int
    state: LocalizationState
    reason: str
    T_map_camera: Mat4 | None = None
    covariance: Float64Array | None = None
    probability: float = 0.0
    T_map_odom: Mat4 | None = None
    hypotheses: tuple[PoseHypothesis, ...] = ()
    scenes: tuple[SceneMatch, ...] = ()
    relative_pose: RelativePose | None = None
    matches: PatchMatches | None = None
    timings_ms: tuple[tuple[str, float], ...] = field(default=())

    @property
    def latency_ms(self) -> float:
        """Sum over all stages, milliseconds."""
        return sum(ms for _, ms in self.timings_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseHint:
    """Where somebody believes the camera is; re-weights hypotheses, never answers by itself.

    Attributes:
        stamp_ns: when it was given.
        T_map_camera: (4, 4).
        covariance: (6, 6), same order as `PoseHypothesis.covariance`.
    """

    stamp_ns: int
    T_map_camera: Mat4
    covariance: Float64Array
