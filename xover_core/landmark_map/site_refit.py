# SPDX-License-Identifier: Apache-2.0
"""Fitting the encoder to the map's own keyframes, and encoding all keyframes again with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from xover_core.encoders.patch_encoder import PatchEncoder, SiteFittable
from xover_core.errors import ModelError
from xover_core.geometry.camera import scale_pixels
from xover_core.landmark_map.keyframe_frame import keyframe_frame
from xover_core.types import CameraIntrinsics, Float32Array, Keyframe, PatchFeatures, RgbdFrame

# A patch may lie this far from where it was before, px of the original image: rounding of the image's width.
_MAX_SHIFT_PX = 1.0


def refit_encoder(
    encoder: PatchEncoder, keyframes: Sequence[Keyframe], report: Callable[[float], None]
) -> PatchEncoder:
    """The encoder fitted to the keyframes; itself when it cannot be fitted or there are too few."""
    if not keyframes or not isinstance(encoder, SiteFittable):
        return encoder

    def frames() -> Iterator[RgbdFrame]:
        for i, keyframe in enumerate(keyframes):
            yield keyframe_frame(keyframe)
            report((i + 1) / len(keyframes))

    return encoder.fit_to(frames())


def encode_again(
    encoder: PatchEncoder, keyframes: Sequence[Keyframe], report: Callable[[float], None]
) -> list[Keyframe]:
    """The keyframes with descriptors by `encoder` of their stored images; grid, points and poses stay.

    Raises:
        ModelError: the encoder lays out its patches differently from the one that made the keyframes.
    """
    encoded = []
    for i, keyframe in enumerate(keyframes):
        frame = keyframe_frame(keyframe)
        features = encoder.encode(frame)
        _check_grid(keyframe, features, frame.intrinsics)
        encoded.append(dataclasses.replace(keyframe, descriptors=as_float16(features.descriptors)))
        report((i + 1) / len(keyframes))
    return encoded


def as_float16(descriptors: Sequence[Float32Array]) -> tuple[NDArray[np.float16], ...]:
    """Descriptors of all scales as a map keeps them."""
    return tuple(scale.astype(np.float16) for scale in descriptors)


def _check_grid(keyframe: Keyframe, features: PatchFeatures, stored: CameraIntrinsics) -> None:
    """Raise ModelError unless the patches of the stored image are those of the keyframe."""
    camera = keyframe.intrinsics
    if features.grid_shape == keyframe.grid_shape:
        original_px = scale_pixels(features.keypoints_px, camera.width / stored.width, camera.height / stored.height)
        if np.abs(original_px - keyframe.keypoints_px).max() <= _MAX_SHIFT_PX:
            return
    raise ModelError(
        f"keyframe {keyframe.keyframe_id}: expected patches on its grid of {keyframe.grid_shape}, got"
        f" {features.grid_shape} from its stored image of {stored.width}x{stored.height} px; use the image height it"
        " was mapped with."
    )
