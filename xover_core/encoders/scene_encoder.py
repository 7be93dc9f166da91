# SPDX-License-Identifier: Apache-2.0
"""What every scene encoder offers: a scene in any modality -> one vector in one space (CrossOver, CVPR 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError
from xover_core.types import Float32Array, Float64Array, ModelInfo, RgbdFrame, SceneModality

EMBEDDING_DIM = 768
"""Length of every embedding of a scene or an object; all are of L2 norm 1, so that a product is a cosine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColoredPoints:
    """A point cloud with colours; z is up, the origin anywhere.

    Attributes:
        points: (N, 3) float32 metres, N >= 1.
        colors: (N, 3) uint8 RGB.
    """

    points: Float32Array
    colors: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Check shapes.

        Raises:
            SensorDataError: shapes or dtypes do not fit, there is no point, or a position is not finite.
        """
        if self.points.ndim != 2 or self.points.shape[1:] != (3,) or not len(self.points):
            raise SensorDataError(f"point cloud: expected (N, 3) points, N >= 1, got {self.points.shape}.")
        if self.colors.shape != self.points.shape or self.colors.dtype != np.uint8:
            raise SensorDataError(
                f"point cloud: expected uint8 colours {self.points.shape}, got {self.colors.dtype} {self.colors.shape}."
            )
        if not np.isfinite(self.points).all():
            raise SensorDataError("point cloud: expected finite positions, got NaN or infinity; drop those points.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInput:
    """One object of a scene in whatever is known of it; each modality may be missing.

    Attributes:
        center: (3,) of its box, metres, any frame with z up that all objects of the scene share.
        size: (3,) of its box along the frame's axes, metres.
        cloud: what was scanned of it.
        cad_points: (P, 3) float32 points on its CAD model, placed in the scene.
        images: crops that show it, RGB uint8.
        sentences: what is said of it.
    """

    center: Float32Array
    size: Float32Array
    cloud: ColoredPoints | None = None
    cad_points: Float32Array | None = None
    images: tuple[NDArray[np.uint8], ...] = ()
    sentences: tuple[str, ...] = ()


class SceneEncoder(Protocol):
    """Scenes in five modalities -> (768,) float32 of norm 1.

    A view is described once and scenes are pooled from descriptions of views, so that a growing map pays for each
    keyframe once.
    """

    @property
    def model(self) -> ModelInfo:
        """Name, checksum and length of the embeddings; `radii` is empty."""
        ...

    @property
    def modalities(self) -> frozenset[SceneModality]:
        """What this encoder can embed."""
        ...

    def describe_view(self, frame: RgbdFrame) -> Float32Array:
        """(E,) float32 description of one frame, with or without depth, for `embed_views`."""
        ...

    def embed_views(self, views: Float32Array, T_scene_camera: Float64Array | None = None) -> Float32Array:
        """Pool the descriptions of the views of one scene.

        Args:
            views: (V, E), V >= 1.
            T_scene_camera: (V, 4, 4) poses of the cameras in any frame with z up, where they are known; not every
                encoder makes use of them.

        Returns:
            (768,).
        """
        ...

    def embed_point_cloud(self, cloud: ColoredPoints) -> Float32Array:
        """A point cloud of a scene -> (768,)."""
        ...

    def embed_floorplan(self, image: NDArray[np.uint8], pixels_per_m: float | None = None) -> Float32Array:
        """(H, W, 3) uint8 drawing of a scene from above; the scale where it is known -> (768,)."""
        ...

    def embed_text(self, text: str) -> Float32Array:
        """A description in English -> (768,).

        Raises:
            SensorDataError: the text has no word.
        """
        ...

    def embed_objects(
        self, objects: Sequence[ObjectInput], modality: SceneModality
    ) -> tuple[Float32Array, Float32Array]:
        """Objects of one scene in one modality; `FLOORPLAN` is none of objects.

        Returns:
            (K, 768) embeddings of the objects, zero rows where the modality is missing, and the scene's (768,), which
            is zero when every object lacks it.
        """
        ...
