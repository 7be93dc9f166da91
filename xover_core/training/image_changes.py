# SPDX-License-Identifier: Apache-2.0
"""What cameras and light do to a picture: each function changes one (H, W, 3) float32 RGB image in [0, 1].

All take the random source and the largest amount; nothing moves in the picture. Results may leave [0, 1].
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from xover_core.types import Float32Array, Float64Array

# Weights of red, green and blue in brightness (Rec. 601).
_LUMA = np.array([0.299, 0.587, 0.114])
# Images are not made brighter than this on average.
_BRIGHTEST_MEAN = 0.65
# Coarse grid of a light field: rows, columns.
_LIGHT_GRID = (4, 5)


def change_exposure(image: Float32Array, rng: np.random.Generator, stops: float) -> Float32Array:
    """Brighter or darker by up to so many stops, as far as a camera's own metering would let it; white is white."""
    factor = 2 ** rng.uniform(-stops, stops)
    metered = max(min(factor, _BRIGHTEST_MEAN / max(float(image.mean()), 1e-3)), min(factor, 1.0))
    return _array(np.minimum(image * np.float32(metered), np.float32(1.0)))


def change_gamma(image: Float32Array, rng: np.random.Generator, spread: float) -> Float32Array:
    """Another tone curve: the exponent's logarithm is drawn from [-spread, spread]."""
    return _array(cv2.pow(np.maximum(image, 0), math.exp(rng.uniform(-spread, spread))))


def change_contrast(image: Float32Array, rng: np.random.Generator, spread: float) -> Float32Array:
    """Stretch or squeeze grey values about their mean by up to 1 +- spread."""
    factor, mean = np.float32(1 + rng.uniform(-spread, spread)), np.float32(image.mean())
    return _array((image - mean) * factor + mean)


def change_white_balance(image: Float32Array, rng: np.random.Generator, spread: float) -> Float32Array:
    """Gains of red, green and blue, their logarithms normal with this deviation."""
    return _array(image * np.exp(rng.normal(0, spread, 3)).astype(np.float32))


def change_saturation(image: Float32Array, rng: np.random.Generator, spread: float) -> Float32Array:
    """Colours stronger or paler by up to 1 +- spread."""
    factor = 1 + rng.uniform(-spread, spread)
    return _mix_channels(image, factor * np.eye(3) + (1 - factor) * np.tile(_LUMA, (3, 1)))


def change_hue(image: Float32Array, rng: np.random.Generator, spread_deg: float) -> Float32Array:
    """Turn all colours about the grey axis by up to so many degrees."""
    angle = math.radians(rng.uniform(-spread_deg, spread_deg))
    axis = np.full((3, 1), 1 / math.sqrt(3))
    return _mix_channels(image, np.asarray(cv2.Rodrigues(axis * angle)[0], dtype=np.float64))


def add_light_field(image: Float32Array, rng: np.random.Generator, spread: float) -> Float32Array:
    """Uneven, slightly coloured light: a smooth factor, its logarithm with this deviation."""
    brightness = rng.normal(0, spread, (*_LIGHT_GRID, 1))
    grid = np.exp(brightness + rng.normal(0, 0.15 * spread, (*_LIGHT_GRID, 3))).astype(np.float32)
    field = cv2.resize(grid, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return _array(image * np.maximum(field, np.float32(0.05)))


def add_vignetting(image: Float32Array, rng: np.random.Generator, loss: float) -> Float32Array:
    """Darker corners, by up to this share."""
    height, width = image.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32) ** 2
    y = np.linspace(-1, 1, height, dtype=np.float32) ** 2
    falloff = 1 - np.float32(rng.uniform(0, loss) / 2) * (y[:, None] + x)
    return _array(image * falloff[:, :, None])


def lower_resolution(image: Float32Array, rng: np.random.Generator, loss: float) -> Float32Array:
    """Made smaller by up to this share, and enlarged again."""
    height, width = image.shape[:2]
    scale = 1 - rng.uniform(0, loss)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return _array(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def blur(image: Float32Array, rng: np.random.Generator, max_px: float) -> Float32Array:
    """Gaussian blur with a deviation of up to so many pixels."""
    deviation = rng.uniform(0, max_px)
    return image if deviation < 0.1 else _array(cv2.GaussianBlur(image, (0, 0), deviation))


def blur_by_motion(image: Float32Array, rng: np.random.Generator, max_px: float) -> Float32Array:
    """Smear along a line of up to so many pixels, in any direction."""
    length, angle = rng.uniform(0, max_px), rng.uniform(0, math.pi)
    if length < 1:
        return image
    size = 2 * math.ceil(length / 2) + 1
    kernel = np.zeros((size, size), np.float32)
    x, y = math.cos(angle) * (length - 1) / 2, math.sin(angle) * (length - 1) / 2
    # ends to 1/16 pixel
    start, end = ((round((size // 2 + s * x) * 16), round((size // 2 + s * y) * 16)) for s in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_8, 4)
    return _array(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101))


def sharpen(image: Float32Array, rng: np.random.Generator, max_gain: float) -> Float32Array:
    """Unsharp mask with a gain of up to this."""
    gain = rng.uniform(0, max_gain)
    return _array(cv2.addWeighted(image, 1 + gain, cv2.GaussianBlur(image, (0, 0), 1.0), -gain, 0))


def add_noise(image: Float32Array, rng: np.random.Generator, largest: float) -> Float32Array:
    """Read and shot noise of each pixel, and blotches of colour; deviations of up to this at full brightness."""
    read, shot, chroma = rng.uniform(0, largest, 3) * (0.5, 1.0, 0.5)
    height, width = image.shape[:2]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise *= np.sqrt(np.float32(read**2) + np.float32(shot**2) * np.clip(image, 0, 1))
    blotches = rng.standard_normal(((height + 2) // 3, (width + 2) // 3, 3), dtype=np.float32) * np.float32(chroma)
    noise += cv2.resize(blotches, (width, height), interpolation=cv2.INTER_LINEAR)
    noise += image
    return noise


def compress(image: Float32Array, rng: np.random.Generator, loss: float) -> Float32Array:
    """JPEG round trip with a quality of 95 less up to 95 times this."""
    quality = max(round(95 * (1 - rng.uniform(0, loss))), 1)
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    _, code = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = _array(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return _array(decoded[:, :, ::-1] * np.float32(1 / 255))


def erase_boxes(image: Float32Array, rng: np.random.Generator, max_size: float) -> Float32Array:
    """One to four boxes of plain colour, each side up to this share of the image's."""
    height, width = image.shape[:2]
    changed: Float32Array = image.copy()
    for _ in range(int(rng.integers(1, 5))):
        box_height, box_width = (rng.uniform(0, max_size, 2) * (height, width)).astype(int)
        top, left = rng.integers(0, height - box_height + 1), rng.integers(0, width - box_width + 1)
        changed[top : top + box_height, left : left + box_width] = rng.random(3)
    return changed


def _mix_channels(image: Float32Array, matrix: Float64Array) -> Float32Array:
    """Each pixel's colour times a (3, 3) matrix."""
    return _array(cv2.transform(image, matrix.astype(np.float32)))


def _array(image: object) -> Float32Array:
    """What OpenCV returned, with its type."""
    return np.asarray(image, dtype=np.float32)
