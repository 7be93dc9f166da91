# SPDX-License-Identifier: Apache-2.0
"""Descriptors of the patches of an image: baselines without learning, and the project's encoders, behind one face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.encoders.patch_grid import PATCH_STRIDE, PatchGrid, make_patch_grid, resize_to_grid
from xover_core.encoders.whitening import Whitening
from xover_core.errors import ModelError
from xover_core.types import Float32Array, RgbdFrame

# Patches are compared on images of this height; wider or narrower ones keep their aspect ratio.
IMAGE_HEIGHT = 240


class PatchSource(Protocol):
    """Frame -> one descriptor for each patch of `protocol_grid`."""

    def describe(self, frame: RgbdFrame) -> Float32Array:
        """(N, C) descriptors of unit L2 norm, or zero where a patch has no content."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFeature:
    """A row of the tables: a source, and a whitening on top of it if any.

    Attributes:
        name: in tables.
        source: what describes the patches; features that share one are computed together.
        whitening: applied to the source's descriptors.
    """

    name: str
    source: PatchSource
    whitening: Whitening | None = None

    def finish(self, described: Float32Array) -> Float32Array:
        """(N, D) of what the source gave, (N, C)."""
        return described if self.whitening is None else self.whitening.apply(described)


def protocol_grid(rgb: NDArray[np.uint8]) -> PatchGrid:
    """The 8 px grid at height 240 on which every source describes an image."""
    return make_patch_grid(rgb.shape[1], rgb.shape[0], IMAGE_HEIGHT)


class RawPatches:
    """Grey values of a square around the centre of each patch, less their mean."""

    def __init__(self, side_px: int = 16) -> None:
        self._side = side_px

    def describe(self, frame: RgbdFrame) -> Float32Array:
        """See `PatchSource.describe`."""
        gray = _working_gray(frame.rgb).astype(np.float32)
        margin = (self._side - PATCH_STRIDE) // 2
        padded = cv2.copyMakeBorder(gray, margin, margin, margin, margin, cv2.BORDER_REFLECT)
        windows = sliding_window_view(padded, (self._side, self._side))[::PATCH_STRIDE, ::PATCH_STRIDE]
        values = windows.reshape(-1, self._side**2)
        return unit_rows(values - values.mean(axis=1, keepdims=True))


class SiftPatches:
    """OpenCV's SIFT, upright, at given keypoint sizes, as RootSIFT; several sizes are put side by side."""

    def __init__(self, sizes_px: Sequence[float]) -> None:
        self._sizes = tuple(sizes_px)
        self._sift = cv2.SIFT.create()

    def describe(self, frame: RgbdFrame) -> Float32Array:
        """See `PatchSource.describe`."""
        gray = _working_gray(frame.rgb)
        centers = protocol_grid(frame.rgb).centers_px
        parts = []
        for size in self._sizes:
            keypoints = [cv2.KeyPoint(float(u), float(v), size, 0.0) for u, v in centers]
            parts.append(root_sift(self._sift.compute(gray, keypoints)[1]))
        return unit_rows(np.concatenate(parts, axis=1))


class EncoderPatches:
    """A patch encoder of this project, at its finest scale."""

    def __init__(self, encoder: PatchEncoder) -> None:
        self._encoder = encoder

    def describe(self, frame: RgbdFrame) -> Float32Array:
        """See `PatchSource.describe`.

        Raises:
            ModelError: the encoder has another grid.
        """
        features = self._encoder.encode(frame)
        expected = protocol_grid(frame.rgb).grid_shape
        if features.grid_shape != expected:
            raise ModelError(
                f"model {self._encoder.model.name!r}: expected a patch grid of {expected} for a"
                f" {frame.intrinsics.width}x{frame.intrinsics.height} image at height {IMAGE_HEIGHT}, got"
                f" {features.grid_shape}; it cannot be compared here."
            )
        return features.finest


def root_sift(descriptors: NDArray[np.generic]) -> Float32Array:
    """(N, 128) SIFT to RootSIFT of unit L2 norm (Arandjelovic and Zisserman 2012)."""
    values = np.asarray(descriptors, np.float32)
    total = values.sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt(values / np.maximum(total, 1e-7)), np.float32)


def unit_rows(values: NDArray[np.floating]) -> Float32Array:
    """(N, C) with every row divided by its L2 norm; rows of zeros stay zero."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(norms, 1e-9), np.float32)


def _working_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey image at the grid's working size."""
    return np.asarray(cv2.cvtColor(resize_to_grid(rgb, protocol_grid(rgb)), cv2.COLOR_RGB2GRAY), np.uint8)
