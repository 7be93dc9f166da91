# SPDX-License-Identifier: Apache-2.0
"""The weight-free encoder behind the `PatchEncoder` protocol."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from box_room import look_at, room_frame
from picture_frames import picture_frame

from xover_core.config import EncoderSettings
from xover_core.encoders.factory import make_encoder
from xover_core.encoders.patch_encoder import SiteFittable
from xover_core.encoders.rootsift_encoder import MIN_SITE_IMAGES, RootSiftEncoder
from xover_core.encoders.whitening import Whitening
from xover_core.errors import ModelError
from xover_core.types import CameraIntrinsics

HEIGHT = 64
CAMERA = CameraIntrinsics(fx=60.0, fy=60.0, cx=47.5, cy=31.5, width=96, height=64)


@pytest.fixture(scope="module")
def encoder():
    return make_encoder(EncoderSettings(model="rootsift-pca64", image_height=HEIGHT))


@pytest.fixture(scope="module")
def room_frames():
    return [room_frame(look_at((0.1 * i, -0.1 * i, 0.0), 36.0 * i), CAMERA) for i in range(MIN_SITE_IMAGES)]


@pytest.mark.parametrize(("width", "height"), [(96, 64), (640, 480), (333, 97), (64, 96), (5, 3), (1, 1)])
def test_every_size_of_image_is_encoded(encoder, width, height, random):
    features = encoder.encode(picture_frame(random.integers(0, 255, (height, width, 3), dtype=np.uint8)))
    rows, cols = features.grid_shape
    assert rows == HEIGHT // 8
    assert cols == max(1, round(width * rows / height))
    assert features.keypoints_px.shape == (rows * cols, 2)
    assert features.finest.shape == (rows * cols, encoder.model.descriptor_dim)
    assert features.finest.dtype == np.float32
    assert len(features.descriptors) == len(encoder.model.radii)
    u, v = features.keypoints_px.T
    assert (u >= -0.5).all()
    assert (u <= width - 0.5).all()
    assert (v >= -0.5).all()
    assert (v <= height - 0.5).all()


def test_descriptors_have_unit_norm_or_are_zero(encoder, room_frames):
    rgb = room_frames[0].rgb.copy()
    rgb[:, 48:] = 80
    norms = np.linalg.norm(encoder.encode(picture_frame(rgb)).finest, axis=1)
    assert ((np.abs(norms - 1) < 1e-5) | (norms == 0)).all()
    assert (norms > 0).any()


def test_a_blank_image_has_no_content(encoder):
    assert not encoder.encode(picture_frame(np.full((64, 96, 3), 77, np.uint8))).finest.any()


def test_the_same_image_gives_the_same_descriptors(encoder, room_frames):
    first = encoder.encode(room_frames[0]).finest
    encoder.encode(room_frames[1])
    np.testing.assert_array_equal(encoder.encode(room_frames[0]).finest, first)


def test_a_gray_image_in_three_channels_is_as_good_as_colour(encoder, room_frames):
    gray = cv2.cvtColor(room_frames[0].rgb, cv2.COLOR_RGB2GRAY)
    features = encoder.encode(picture_frame(np.repeat(gray[..., None], 3, axis=2)))
    np.testing.assert_allclose(features.finest, encoder.encode(room_frames[0]).finest, atol=0.02)


def test_depth_changes_nothing(encoder, room_frames):
    blind = picture_frame(room_frames[0].rgb)
    np.testing.assert_array_equal(encoder.encode(blind).finest, encoder.encode(room_frames[0]).finest)


def test_it_can_be_fitted_to_a_site(encoder, room_frames):
    assert isinstance(encoder, SiteFittable)
    fitted = encoder.fit_to(room_frames)
    assert fitted is not encoder
    assert fitted.model.name == encoder.model.name
    assert fitted.model.descriptor_dim == encoder.model.descriptor_dim
    assert fitted.model.checksum != encoder.model.checksum
    descriptors = np.concatenate([fitted.encode(frame).finest for frame in room_frames])
    # white before each row is normalised, so about equally large in all directions after
    spread = descriptors[descriptors.any(axis=1)].std(axis=0) * np.sqrt(fitted.model.descriptor_dim)
    assert spread.min() > 0.5
    assert spread.max() < 2.0


def test_fitting_again_changes_nothing(encoder, room_frames):
    once = encoder.fit_to(room_frames)
    assert once.fit_to(room_frames).model == once.model


@pytest.mark.parametrize("count", [0, 1, MIN_SITE_IMAGES - 1])
def test_too_few_frames_leave_it_as_it_is(encoder, room_frames, count):
    assert encoder.fit_to(room_frames[:count]) is encoder


def test_frames_without_content_leave_it_as_it_is(encoder):
    assert encoder.fit_to([picture_frame(np.zeros((64, 96, 3), np.uint8))] * 20) is encoder


def test_its_site_weights_restore_it(encoder, room_frames):
    fitted = encoder.fit_to(room_frames)
    restored = make_encoder(EncoderSettings(model="rootsift-pca64", image_height=HEIGHT), fitted.site_weights)
    assert restored.model == fitted.model
    np.testing.assert_allclose(restored.encode(room_frames[0]).finest, fitted.encode(room_frames[0]).finest, atol=1e-5)


def test_checksum_tells_apart_what_changes_the_output(encoder, room_frames):
    other_height = make_encoder(EncoderSettings(model="rootsift-pca64", image_height=HEIGHT + 8))
    fitted = encoder.fit_to(room_frames)
    assert len({encoder.model.checksum, other_height.model.checksum, fitted.model.checksum}) == 3


def test_a_whitening_of_another_length_is_refused():
    whitening = Whitening(mean=np.zeros(10, np.float32), basis=np.zeros((10, 4), np.float32))
    with pytest.raises(ModelError, match="expected a whitening of 384 values, got one of 10"):
        RootSiftEncoder(name="short", image_height=HEIGHT, radii=(0.2,), whitening=whitening)
