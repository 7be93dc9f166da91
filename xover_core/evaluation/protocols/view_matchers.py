# SPDX-License-Identifier: Apache-2.0
"""Matches between two views: keypoints with a ratio test, and the project's patches, behind one face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.config import MatchingSettings
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.evaluation.protocols.patch_sources import root_sift
from xover_core.localization.patch_matching import GridShape, match_patches
from xover_core.types import Float32Array, RgbdFrame

Rows = NDArray[np.int64]

_MAX_KEYPOINTS = 2000
_MAX_RATIO = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedView:
    """Keypoints or patches of an image.

    Attributes:
        keypoints_px: (N, 2) float32, pixels of the image.
        descriptors: (N, D) float32, or packed bits in uint8 for ORB.
        grid_shape: (rows, cols) of patches, (0, 0) for keypoints.
    """

    keypoints_px: Float32Array
    descriptors: NDArray[Any]
    grid_shape: GridShape = (0, 0)


class ViewMatcher(Protocol):
    """Frame -> description; two descriptions -> matches."""

    @property
    def name(self) -> str:
        """In tables."""
        ...

    @property
    def max_error_px(self) -> float:
        """How far an inlier may lie from its epipolar line, at image height 240: how precise the points are."""
        ...

    def describe(self, frame: RgbdFrame) -> DescribedView:
        """Describe a frame."""
        ...

    def match(self, a: DescribedView, b: DescribedView) -> tuple[Rows, Rows]:
        """Matched rows, two arrays of one length, which may be 0."""
        ...


class SiftMatcher:
    """SIFT keypoints, RootSIFT, nearest neighbour with ratio test (Lowe 2004)."""

    name = "sift"
    max_error_px = 1.0

    def __init__(self) -> None:
        self._sift = cv2.SIFT.create(_MAX_KEYPOINTS)

    def describe(self, frame: RgbdFrame) -> DescribedView:
        """See `ViewMatcher.describe`."""
        keypoints, descriptors = self._sift.detectAndCompute(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), None)
        values = np.zeros((0, 128), np.float32) if descriptors is None else root_sift(descriptors)
        return DescribedView(keypoints_px=_positions(keypoints), descriptors=values)

    def match(self, a: DescribedView, b: DescribedView) -> tuple[Rows, Rows]:
        """See `ViewMatcher.match`."""
        return _ratio_test(a, b, cv2.NORM_L2)


class OrbMatcher:
    """ORB keypoints, nearest neighbour by Hamming distance with ratio test (Rublee 2011)."""

    name = "orb"
    max_error_px = 1.0

    def __init__(self) -> None:
        self._orb = cv2.ORB.create(_MAX_KEYPOINTS)

    def describe(self, frame: RgbdFrame) -> DescribedView:
        """See `ViewMatcher.describe`."""
        keypoints, descriptors = self._orb.detectAndCompute(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), None)
        values = np.zeros((0, 32), np.uint8) if descriptors is None else np.asarray(descriptors)
        return DescribedView(keypoints_px=_positions(keypoints), descriptors=values)

    def match(self, a: DescribedView, b: DescribedView) -> tuple[Rows, Rows]:
        """See `ViewMatcher.match`."""
        return _ratio_test(a, b, cv2.NORM_HAMMING)


class EncoderMatcher:
    """Patches of an encoder, matched as in localization: threshold, two continuity conditions, best first."""

    # half a patch
    max_error_px = 4.0

    def __init__(self, name: str, encoder: PatchEncoder, settings: MatchingSettings | None = None) -> None:
        self.name = name
        self._encoder = encoder
        self._settings = settings or MatchingSettings()

    def describe(self, frame: RgbdFrame) -> DescribedView:
        """See `ViewMatcher.describe`."""
        features = self._encoder.encode(frame)
        return DescribedView(
            keypoints_px=features.keypoints_px, descriptors=features.finest, grid_shape=features.grid_shape
        )

    def match(self, a: DescribedView, b: DescribedView) -> tuple[Rows, Rows]:
        """See `ViewMatcher.match`."""
        pairs = match_patches(a.descriptors, b.descriptors, a.grid_shape, b.grid_shape, self._settings)
        return pairs.rows_a, pairs.rows_b


def _positions(keypoints: object) -> Float32Array:
    """(N, 2) pixels of OpenCV's keypoints."""
    return np.asarray(cv2.KeyPoint.convert(keypoints), np.float32).reshape(-1, 2)  # type: ignore[call-overload]


def _ratio_test(a: DescribedView, b: DescribedView, norm: int) -> tuple[Rows, Rows]:
    """Matches whose nearest neighbour is clearly nearer than the second."""
    if not len(a.descriptors) or len(b.descriptors) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    nearest = cv2.BFMatcher(norm).knnMatch(a.descriptors, b.descriptors, k=2)
    kept = [(m.queryIdx, m.trainIdx) for m, second in nearest if m.distance < _MAX_RATIO * second.distance]
    rows = np.array(kept, np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]
