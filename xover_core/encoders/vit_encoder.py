# SPDX-License-Identifier: Apache-2.0
"""A frozen DINO or DINOv2 with a LoCUS head behind `PatchEncoder`: colour -> features for one of its radii."""

from __future__ import annotations

import hashlib

from xover_core.encoders.patch_grid import PatchGrid, make_patch_grid
from xover_core.inference.picture_session import PictureSession
from xover_core.types import CameraIntrinsics, ModelInfo, PatchFeatures, RgbdFrame


class VitPatchEncoder:
    """Implements `PatchEncoder`. It looks at colour alone.

    The grid is that of all encoders, 8 px at the working height. A transformer with patches of another size sees the
    picture resized so that its patches are those of the grid, as it did when its heads were trained.
    """

    def __init__(
        self,
        *,
        name: str,
        image_height: int,
        weights_sha256: str,
        session: PictureSession,
        descriptor_dim: int,
        radius: float,
    ) -> None:
        """Make an encoder.

        Args:
            name: of the model.
            image_height: working height, px; 8 for each row of patches.
            weights_sha256: of the weights, however they are run.
            session: runs the network with the head for the radius, and no other.
            descriptor_dim: D.
            radius: of the head, m.
        """
        self._image_height = image_height
        self._session = session
        self._model = ModelInfo(
            name=name,
            checksum=hashlib.sha256(f"{name}/{image_height}/{weights_sha256}".encode()).hexdigest(),
            descriptor_dim=descriptor_dim,
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
        """See `PatchEncoder.encode`; the descriptors stay on the device that made them until somebody asks for them."""
        grid = self._grid(frame.intrinsics)
        return PatchFeatures(
            grid_shape=grid.grid_shape,
            keypoints_px=grid.keypoints_px,
            descriptors=self._session.run(frame.rgb, grid.grid_shape),
        )

    def _grid(self, camera: CameraIntrinsics) -> PatchGrid:
        """The grid for images of this size."""
        return make_patch_grid(camera.width, camera.height, self._image_height)
