# SPDX-License-Identifier: Apache-2.0
"""What the light CrossOver takes of the objects of a scene, before it becomes tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.types import Float32Array, SceneModality


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectArrays:
    """K objects of one scene; M are those that have a modality, in order.

    Attributes:
        points: (M1, P, C) float32.
        cad_points: (M2, P, C) float32.
        crops: (M3, h, w, 3) uint8.
        words: (M4, W, G) int64.
        locations: (K, 6) float32 centre and size, m.
        masks: (K,) bool by modality.
    """

    points: Float32Array
    cad_points: Float32Array
    crops: NDArray[np.uint8]
    words: NDArray[np.int64]
    locations: Float32Array
    masks: Mapping[SceneModality, NDArray[np.bool_]]
