# SPDX-License-Identifier: Apache-2.0
"""The patch encoder without learned weights: dense RootSIFT at three sizes, whitened to 64 dimensions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.dense_rootsift import DESCRIPTOR_DIM, dense_rootsift
from xover_core.encoders.patch_grid import PatchGrid, make_patch_grid, resize_to_grid
from xover_core.encoders.whitening import Whitening, WhiteningFitter
from xover_core.errors import ModelError
from xover_core.types import Float32Array, ModelInfo, PatchFeatures, RgbdFrame

NUM_SIZES = 3
# Below this many images the statistics of a site are those of a few views, and the general whitening is better.
MIN_SITE_IMAGES = 10


class RootSiftEncoder:
    """Implements `PatchEncoder` and `SiteFittable`."""

    def __init__(self, *, name: str, image_height: int, radii: tuple[float, ...], whitening: Whitening) -> None:
        """Make an encoder from a whitening.

        Args:
            name: of the model.
            image_height: working height, px.
            radii: metres; the same descriptors serve every radius, so one is enough.
            whitening: from (3 * 128) to D dimensions.

        Raises:
            ModelError: the whitening is for descriptors of another length.
        """
        if len(whitening.mean) != NUM_SIZES * DESCRIPTOR_DIM:
            raise ModelError(
                f"model {name!r}: expected a whitening of {NUM_SIZES * DESCRIPTOR_DIM} values, got one of"
                f" {len(whitening.mean)}; use the weights that belong to this model."
            )
        self._image_height = image_height
        self._whitening = whitening
        identity = f"{name}/{image_height}/{NUM_SIZES}/{whitening.checksum}"
        self._model = ModelInfo(
            name=name,
            checksum=hashlib.sha256(identity.encode()).hexdigest(),
            descriptor_dim=whitening.basis.shape[1],
            radii=radii,
        )

    @property
    def model(self) -> ModelInfo:
        """See `PatchEncoder.model`."""
        return self._model

    @property
    def site_weights(self) -> bytes:
        """The whitening, as safetensors."""
        return self._whitening.to_bytes()

    def encode(self, frame: RgbdFrame) -> PatchFeatures:
        """See `PatchEncoder.encode`; depth is not looked at."""
        grid = self._grid(frame.rgb)
        descriptors = self._whitening.apply(self._describe(frame.rgb, grid))
        return PatchFeatures(
            grid_shape=grid.grid_shape,
            keypoints_px=grid.keypoints_px,
            descriptors=(descriptors,) * len(self._model.radii),
        )

    def fit_to(self, frames: Iterable[RgbdFrame]) -> RootSiftEncoder:
        """Whiten by the statistics of a site; see `SiteFittable.fit_to`."""
        fitter = WhiteningFitter(NUM_SIZES * DESCRIPTOR_DIM)
        num_images = 0
        for frame in frames:
            fitter.add(self._describe(frame.rgb, self._grid(frame.rgb)))
            num_images += 1
        if num_images < MIN_SITE_IMAGES or fitter.count <= NUM_SIZES * DESCRIPTOR_DIM:
            return self
        return RootSiftEncoder(
            name=self._model.name,
            image_height=self._image_height,
            radii=self._model.radii,
            whitening=fitter.fit(self._model.descriptor_dim),
        )

    def _grid(self, rgb: NDArray[np.uint8]) -> PatchGrid:
        """The grid for this image."""
        return make_patch_grid(rgb.shape[1], rgb.shape[0], self._image_height)

    def _describe(self, rgb: NDArray[np.uint8], grid: PatchGrid) -> Float32Array:
        """(N, 384) descriptors before whitening."""
        return dense_rootsift(resize_to_grid(rgb, grid), grid, NUM_SIZES)
