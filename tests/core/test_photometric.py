# SPDX-License-Identifier: Apache-2.0
"""Tests of photometric augmentation: what each change must keep, seeds, ranges."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from xover_core.errors import TrainingError
from xover_core.training import image_changes as changes
from xover_core.training.photometric import PhotometricSettings, augment_photometrically
from xover_core.types import Float32Array

HEIGHT, WIDTH = 48, 64
# one rounding of float32, and of the small kernels' sums
TOLERANCE = 1e-5
# grey values of 8 bit after JPEG with quality 95, on a smooth picture
JPEG_TOLERANCE = 0.03


def smooth_image() -> Float32Array:
    """(H, W, 3) colour ramps in [0.2, 0.8]."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    ramps = np.stack([u / WIDTH, v / HEIGHT, (u + v) / (WIDTH + HEIGHT)], axis=2)
    return np.asarray(0.2 + 0.6 * ramps, dtype=np.float32)


def images() -> torch.Tensor:
    return torch.from_numpy(smooth_image()).permute(2, 0, 1).expand(4, 3, HEIGHT, WIDTH).contiguous()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def always() -> PhotometricSettings:
    """All changes, each time."""
    settings = PhotometricSettings()
    names = [f.name for f in fields(settings) if f.name.endswith("_probability")]
    return replace(settings, **dict.fromkeys(names, 1.0))


def test_strength_zero_is_the_identity() -> None:
    given = images()
    assert torch.equal(augment_photometrically(given, replace(always(), strength=0.0), generator()), given)


def test_no_probability_is_the_identity() -> None:
    settings = PhotometricSettings()
    never = replace(settings, **{f.name: 0.0 for f in fields(settings) if f.name.endswith("_probability")})
    assert torch.equal(augment_photometrically(images(), never, generator()), images())


def test_same_seed_same_images_and_each_frame_its_own() -> None:
    first = augment_photometrically(images(), always(), generator(1))
    assert torch.equal(augment_photometrically(images(), always(), generator(1)), first)
    assert not torch.equal(augment_photometrically(images(), always(), generator(2)), first)
    assert not torch.equal(first[0], first[1])
    # a frame does not depend on how many follow
    assert torch.equal(augment_photometrically(images()[:2], always(), generator(1)), first[:2])


def test_results_are_images_and_the_given_ones_stay() -> None:
    given = images()
    changed = augment_photometrically(given, always(), generator())
    assert changed.shape == given.shape
    assert changed.dtype == torch.float32
    assert changed.is_contiguous()
    assert 0 <= float(changed.min()) < float(changed.max()) <= 1
    assert torch.equal(given, images())
    # the content is still there
    for image in changed:
        correlation = np.corrcoef(image.mean(0).ravel(), given[0].mean(0).ravel())[0, 1]
        assert correlation > 0.3
    assert augment_photometrically(given.double(), always(), generator()).dtype == torch.float64
    assert augment_photometrically(given[:0], always(), generator()).shape == (0, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "change",
    [
        changes.change_exposure, changes.change_gamma, changes.change_contrast, changes.change_white_balance,
        changes.change_saturation, changes.change_hue, changes.add_light_field, changes.add_vignetting,
        changes.lower_resolution, changes.blur, changes.blur_by_motion, changes.sharpen, changes.add_noise,
        changes.erase_boxes,
    ],
)  # fmt: skip
def test_amount_zero_changes_nothing_and_more_does(change) -> None:  # type: ignore[no-untyped-def]
    image = smooth_image()
    image[20:24, 30:34] = 0.9
    np.testing.assert_allclose(change(image, np.random.default_rng(0), 0.0), image, atol=TOLERANCE)
    before = image.copy()
    largest = {changes.change_hue: 40.0, changes.blur: 3.0, changes.blur_by_motion: 9.0}.get(change, 0.5)
    assert np.abs(change(image, np.random.default_rng(0), largest) - image).max() > 0.01
    np.testing.assert_array_equal(image, before)


def test_colour_changes_keep_grey_and_colour_blurs_keep_the_mean() -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 0.4, np.float32)
    for change, amount in ((changes.change_saturation, 0.9), (changes.change_hue, 90.0)):
        np.testing.assert_allclose(change(grey, np.random.default_rng(1), amount), grey, atol=TOLERANCE)
    spot = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    spot[HEIGHT // 2, WIDTH // 2] = 1.0
    for seed in range(4):
        for change, amount in ((changes.blur, 2.0), (changes.blur_by_motion, 9.0)):
            smeared = change(spot, np.random.default_rng(seed), amount)
            assert float(smeared.sum()) == pytest.approx(3.0, abs=1e-3)
            # nothing moves: the middle stays the middle, to a quarter pixel
            weights = smeared[:, :, 0] / smeared[:, :, 0].sum()
            v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
            assert float((weights * u).sum()) == pytest.approx(WIDTH // 2, abs=0.25)
            assert float((weights * v).sum()) == pytest.approx(HEIGHT // 2, abs=0.25)


def test_jpeg_keeps_channels_in_order() -> None:
    image = smooth_image()
    np.testing.assert_allclose(changes.compress(image, np.random.default_rng(0), 0.0), image, atol=JPEG_TOLERANCE)


def test_exposure_does_not_burn_out_bright_images() -> None:
    bright = np.full((HEIGHT, WIDTH, 3), 0.7, np.float32)
    means = [float(changes.change_exposure(bright, np.random.default_rng(seed), 2.0).mean()) for seed in range(20)]
    assert max(means) <= 0.7 + TOLERANCE
    assert min(means) < 0.5


def test_wrong_images_are_refused() -> None:
    with pytest.raises(TrainingError, match="floating-point images"):
        augment_photometrically(images()[0], PhotometricSettings(), generator())
    with pytest.raises(TrainingError, match="uint8"):
        augment_photometrically((images() * 255).byte(), PhotometricSettings(), generator())
