# SPDX-License-Identifier: Apache-2.0
"""Turns a perfect picture into what an RGB-D camera gives: noise, blur, exposure; depth with steps, noise and holes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural.renderer import RenderedView
from xover_core.datasets.procedural.scene import ObjectClass
from xover_core.errors import DatasetError
from xover_core.types import Float32Array

_MIDDLE_GREY = 110.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorNoise:
    """A structured-light RGB-D camera.

    Attributes:
        read_noise: of colour, standard deviation in grey levels (0 to 255).
        shot_noise: grey levels at full brightness, grows with the root of brightness.
        blur_px: standard deviation of the lens blur.
        vignetting: loss of brightness in the corners, share.
        auto_exposure: how far the camera corrects a dark or bright view, 0 to 1.
        exposure_spread: standard deviation of the logarithm of exposure from frame to frame.
        white_balance_spread: the same for red and blue against green.
        depth_noise: standard deviation of depth at 1 m, metres; grows with the square of depth.
        disparity_step: of the depth quantisation, m at 1 m; grows likewise.
        min_depth: nothing nearer is measured, m.
        max_depth: nothing farther is measured, m.
        edge_holes: share of pixels beside depth edges that are not measured.
        grazing_holes: share of pixels on surfaces seen at a very flat angle that are not measured.
    """

    read_noise: float = 1.5
    shot_noise: float = 3.5
    blur_px: float = 0.45
    vignetting: float = 0.18
    auto_exposure: float = 0.5
    exposure_spread: float = 0.12
    white_balance_spread: float = 0.03
    depth_noise: float = 0.0018
    disparity_step: float = 0.0022
    min_depth: float = 0.35
    max_depth: float = 6.0
    edge_holes: float = 0.7
    grazing_holes: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            DatasetError: a value is negative, or no depth lies between `min_depth` and `max_depth`.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if min(values.values()) < 0 or self.max_depth <= self.min_depth:
            raise DatasetError(f"SensorNoise: expected values of at least 0 and min_depth < max_depth, got {values}.")


def sense_color(rgb: NDArray[np.uint8], noise: SensorNoise, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Colour image (H, W, 3) as a camera would give it."""
    image: Float32Array = rgb.astype(np.float32)
    if noise.blur_px > 0:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), noise.blur_px), dtype=np.float32)
    height, width = rgb.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    falloff = 1 - noise.vignetting * (x * x + y * y) / 2
    metered = (_MIDDLE_GREY / max(float(image.mean()), 1.0)) ** noise.auto_exposure
    spread = rng.normal(0, noise.exposure_spread) + rng.normal(0, noise.white_balance_spread, 3) * (1, 0, 1)
    gain = np.clip(metered, 0.6, 1.8) * np.exp(spread)
    image *= (falloff[:, :, None] * gain).astype(np.float32)
    deviation = np.sqrt(noise.read_noise**2 + noise.shot_noise**2 * np.clip(image, 0, 255) / 255)
    image += deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.clip(image + 0.5, 0, 255), dtype=np.uint8)


def sense_depth(view: RenderedView, noise: SensorNoise, rng: np.random.Generator) -> Float32Array:
    """Depth (H, W) in metres as a camera would give it, 0 = no reading."""
    depth = view.depth
    with np.errstate(divide="ignore"):
        slope = np.hypot(
            cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=0.125)
        )
    relative = slope / np.maximum(depth, 0.1)
    chance = np.where(relative > 0.05, noise.edge_holes, np.where(relative > 0.02, noise.grazing_holes, 0.002))
    # dropouts come in clumps, so the dice are thrown on a coarser raster
    dice = cv2.resize(rng.random((depth.shape[0] // 2, depth.shape[1] // 2), dtype=np.float32), depth.shape[::-1])
    is_dark = (view.object_class == ObjectClass.TV) & (view.rgb.max(axis=2) < 30)
    measured = depth + noise.depth_noise * depth**2 * rng.standard_normal(depth.shape, dtype=np.float32)
    if noise.disparity_step > 0:
        inverse = 1 / np.maximum(measured, 0.05)
        measured = 1 / np.maximum(np.rint(inverse / noise.disparity_step) * noise.disparity_step, 1e-3)
    is_hole = (dice < chance) | is_dark | (depth < noise.min_depth) | (depth > noise.max_depth)
    return np.where(is_hole, 0, measured).astype(np.float32)
