# SPDX-License-Identifier: Apache-2.0
"""The compact LoCUS encoder behind `PatchEncoder`: colour, depth and camera -> features for one of its radii."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from xover_core.encoders.patch_grid import PatchGrid, make_patch_grid, resize_to_grid
from xover_core.geometry.camera import resize_intrinsics
from xover_core.geometry.depth import MAX_DEPTH_M, nearest_pixels
from xover_core.inference.compact_session import CompactSession
from xover_core.types import CameraIntrinsics, Float32Array, ModelInfo, PatchFeatures, RgbdFrame


class CompactPatchEncoder:
    """Implements `PatchEncoder`. Frames without depth are described too, as if all lay at one distance."""

    def __init__(
        self, *, name: str, image_height: int, weights_sha256: str, session: CompactSession, radius: float
    ) -> None:
        """Make an encoder.

        Args:
            name: of the model.
            image_height: working height, px.
            weights_sha256: of the weights, however they are run.
            session: runs the network.
            radius: whose features are wanted, one of the session's.
        """
        self._image_height = image_height
        self._session = session
        self._scale = session.radii.index(radius)
        self._model = ModelInfo(
            name=name,
            checksum=hashlib.sha256(f"{name}/{image_height}/{weights_sha256}".encode()).hexdigest(),
            descriptor_dim=session.descriptor_dim,
            radii=(radius,),
        )

    @property
    def model(self) -> ModelInfo:
        """See `PatchEncoder.model`."""
        return self._model

    @property
    def site_weights(self) -> bytes:
        """Nothing: the model's own weights are all there is."""
        return b""

    def encode(self, frame: RgbdFrame) -> PatchFeatures:
        """See `PatchEncoder.encode`."""
        grid = self._grid(frame.intrinsics)
        small = resize_intrinsics(frame.intrinsics, *grid.working_size)
        camera = np.array([small.fx, small.fy, small.cx, small.cy], np.float32)
        return PatchFeatures(
            grid_shape=grid.grid_shape,
            keypoints_px=grid.keypoints_px,
            descriptors=self._describe(frame, grid, camera)[self._scale : self._scale + 1],
        )

    def _describe(self, frame: RgbdFrame, grid: PatchGrid, camera: Float32Array) -> Sequence[Float32Array]:
        """Features for each radius of the session."""
        on_device = self._session.on_device
        session = on_device.find()
        if session is None:
            image = resize_to_grid(frame.rgb, grid).transpose(2, 0, 1)[None] * np.float32(1 / 255)
            found = self._session.run(
                np.ascontiguousarray(image, np.float32), resize_depth(frame.depth, grid)[None], camera[None]
            )
            # what runs the network may be sure only now, and from then on all frames go the same way
            session = on_device.find()
            if session is None:
                return found
        return on_device.run_frame(session, frame.rgb, frame.depth, camera, grid.working_size[::-1])

    def _grid(self, camera: CameraIntrinsics) -> PatchGrid:
        """The grid for images of this size."""
        return make_patch_grid(camera.width, camera.height, self._image_height)


def resize_depth(depth: Float32Array | None, grid: PatchGrid) -> Float32Array:
    """(height, width) of the working size by nearest sample, 0 where nothing was measured.

    Nearest, because averaging across a depth edge makes readings where there is nothing.
    """
    width, height = grid.working_size
    if depth is None:
        return np.zeros((height, width), np.float32)
    rows, columns = nearest_pixels(height, depth.shape[0]), nearest_pixels(width, depth.shape[1])
    nearest = depth[rows[:, None], columns[None, :]]
    # a comparison with NaN is false
    return np.where((nearest > 0) & (nearest <= MAX_DEPTH_M), nearest, np.float32(0))
