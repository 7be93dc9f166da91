# SPDX-License-Identifier: Apache-2.0
"""Random changes of colour, light, sharpness and noise, so that features trained on renderings work on cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xover_core.config import Settings, setting
from xover_core.errors import TrainingError
from xover_core.training import image_changes as changes
from xover_core.types import Float32Array

_Change = Callable[[Float32Array, np.random.Generator, float], Float32Array]


def _probability(default: float, what: str) -> float:
    """A setting: how often."""
    probability: float = setting(default, f"share of images with {what}", minimum=0.0, maximum=1.0)
    return probability


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotometricSettings(Settings):
    """How often and how much images are changed, in the order of the changes."""

    strength: float = setting(1.0, "factor on how often and how much; 0 = no changes", minimum=0.0, maximum=1.0)
    light_field_probability: float = _probability(0.5, "uneven light")
    light_field: float = setting(0.22, "deviation of the logarithm of uneven light", minimum=0.0, maximum=1.0)
    white_balance_probability: float = _probability(0.8, "other gains of colours")
    white_balance: float = setting(0.1, "deviation of the logarithm of gains", minimum=0.0, maximum=0.5)
    saturation_probability: float = _probability(0.6, "stronger or paler colours")
    saturation: float = setting(0.5, "largest change of saturation, share", minimum=0.0, maximum=1.0)
    hue_probability: float = _probability(0.3, "turned colours")
    hue_deg: float = setting(12.0, "largest turn of hue, deg", minimum=0.0, maximum=180.0)
    gamma_probability: float = _probability(0.5, "another tone curve")
    gamma: float = setting(0.35, "largest logarithm of its exponent", minimum=0.0, maximum=2.0)
    contrast_probability: float = _probability(0.5, "other contrast")
    contrast: float = setting(0.35, "largest change of contrast, share", minimum=0.0, maximum=0.95)
    vignetting_probability: float = _probability(0.4, "dark corners")
    vignetting: float = setting(0.5, "largest loss of light in the corners, share", minimum=0.0, maximum=1.0)
    low_resolution_probability: float = _probability(0.25, "lost detail")
    low_resolution: float = setting(0.6, "largest loss of resolution, share", minimum=0.0, maximum=0.95)
    blur_probability: float = _probability(0.5, "Gaussian blur")
    blur_px: float = setting(1.5, "its largest deviation, px", minimum=0.0, maximum=20.0)
    motion_probability: float = _probability(0.2, "motion blur")
    motion_px: float = setting(9.0, "its largest length, px", minimum=0.0, maximum=50.0)
    exposure_probability: float = _probability(0.8, "other exposure")
    exposure_stops: float = setting(0.8, "its largest change, stops", minimum=0.0, maximum=4.0)
    noise_probability: float = _probability(0.7, "noise")
    noise: float = setting(0.06, "its largest deviation, share of full brightness", minimum=0.0, maximum=0.5)
    sharpen_probability: float = _probability(0.25, "sharpening")
    sharpen: float = setting(1.0, "its largest gain", minimum=0.0, maximum=4.0)
    erase_probability: float = _probability(0.2, "erased boxes")
    erase: float = setting(0.2, "their largest side, share of the image's", minimum=0.0, maximum=0.5)
    jpeg_probability: float = _probability(0.4, "JPEG compression")
    jpeg: float = setting(0.75, "largest loss of quality, share", minimum=0.0, maximum=1.0)


def augment_photometrically(images: Tensor, settings: PhotometricSettings, generator: torch.Generator) -> Tensor:
    """Change each image on its own; nothing moves in it.

    Args:
        images: (B, 3, H, W) floating point in [0, 1].
        settings: how often and how much.
        generator: on the CPU; one number is drawn for each image.

    Returns:
        (B, 3, H, W) in [0, 1], same dtype and device; the given images themselves at strength 0.

    Raises:
        TrainingError: images of another shape or dtype.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise TrainingError(
            f"photometric augmentation: expected floating-point images (B, 3, H, W),"
            f" got {images.dtype} {tuple(images.shape)}."
        )
    seeds = torch.randint(2**62, (len(images),), generator=generator).tolist()
    if settings.strength == 0:
        return images
    pixels = images.detach().to("cpu", torch.float32).permute(0, 2, 3, 1).contiguous().numpy()
    changed = torch.empty(images.shape, dtype=torch.float32)
    for image, target, seed in zip(pixels, changed, seeds, strict=True):
        result = np.ascontiguousarray(_augment(image, settings, np.random.default_rng(seed)))
        target.copy_(torch.from_numpy(result).permute(2, 0, 1))
    return changed.clamp_(0, 1).to(images.device, images.dtype)


def _augment(image: Float32Array, settings: PhotometricSettings, rng: np.random.Generator) -> Float32Array:
    """Some of the changes, in their order."""
    for change, probability, amount in _changes(settings):
        if rng.random() < probability * settings.strength:
            image = change(image, rng, amount * settings.strength)
    return image


def _changes(s: PhotometricSettings) -> tuple[tuple[_Change, float, float], ...]:
    """(change, probability, amount) in the order of a camera: light, colour, lens, sensor, processing, storage."""
    return (
        (changes.add_light_field, s.light_field_probability, s.light_field),
        (changes.change_white_balance, s.white_balance_probability, s.white_balance),
        (changes.change_saturation, s.saturation_probability, s.saturation),
        (changes.change_hue, s.hue_probability, s.hue_deg),
        (changes.change_gamma, s.gamma_probability, s.gamma),
        (changes.change_contrast, s.contrast_probability, s.contrast),
        (changes.add_vignetting, s.vignetting_probability, s.vignetting),
        (changes.lower_resolution, s.low_resolution_probability, s.low_resolution),
        (changes.blur, s.blur_probability, s.blur_px),
        (changes.blur_by_motion, s.motion_probability, s.motion_px),
        (changes.change_exposure, s.exposure_probability, s.exposure_stops),
        (changes.add_noise, s.noise_probability, s.noise),
        (changes.sharpen, s.sharpen_probability, s.sharpen),
        (changes.erase_boxes, s.erase_probability, s.erase),
        (changes.compress, s.jpeg_probability, s.jpeg),
    )
