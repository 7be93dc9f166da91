# SPDX-License-Identifier: Apache-2.0
"""The compact encoder behind `PatchEncoder`: sizes, missing depth, and what its checksum tells apart."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from box_room import look_at, room_frame
from picture_frames import picture_frame

from xover_core.config import EncoderSettings, InferenceSettings
from xover_core.encoders.compact_encoder import CompactPatchEncoder, resize_depth
from xover_core.encoders.factory import make_encoder
from xover_core.encoders.patch_encoder import SiteFittable
from xover_core.encoders.patch_grid import make_patch_grid, resize_to_grid
from xover_core.geometry.camera import resize_intrinsics
from xover_core.inference.device_descriptors import DeviceDescriptors
from xover_core.inference.frame_upload import FrameUpload
from xover_core.landmark_map.keyframe_frame import keyframe_frame
from xover_core.types import CameraIntrinsics, Keyframe, RgbdFrame

MODEL = "locus-compact"
HEIGHT = 120
CAMERA = CameraIntrinsics(fx=120.0, fy=120.0, cx=79.5, cy=59.5, width=160, height=120)
# Cosine of a patch before and after resizing by 2.5 and back, or JPEG: small windows lose their finest texture.
MIN_RESIZED_COSINE = 0.9
# Cosine of a patch of the same picture rounded to bytes or not.
MIN_ROUNDED_COSINE = 0.99


@pytest.fixture(scope="module")
def encoder():
    return make_encoder(EncoderSettings(model=MODEL, image_height=HEIGHT))


@pytest.fixture(scope="module")
def frame():
    return room_frame(look_at((0.3, 0.2, 0.0), 25.0), CAMERA)


def median_cosine(a, b):
    cosines = []
    for x, y in zip(a.descriptors, b.descriptors, strict=True):
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        cosines.append(float(np.median((x * y).sum(axis=1) / norms)))
    return cosines


@pytest.mark.parametrize(("width", "height"), [(160, 120), (640, 480), (333, 97), (64, 96), (40, 3)])
def test_every_size_of_frame_is_encoded(encoder, width, height, random):
    features = encoder.encode(picture_frame(random.integers(0, 255, (height, width, 3), dtype=np.uint8)))
    rows, cols = features.grid_shape
    assert rows == HEIGHT // 8
    assert features.keypoints_px.shape == (rows * cols, 2)
    assert [d.shape for d in features.descriptors] == [(rows * cols, encoder.model.descriptor_dim)]
    norms = np.linalg.norm(features.finest, axis=1)
    assert norms.max() < 1 + 1e-5
    assert norms.min() > 0.6


def test_one_array_for_each_radius_and_nothing_for_the_site(encoder):
    assert encoder.model.radii == (0.05,)
    assert encoder.site_weights == b""
    assert not isinstance(encoder, SiteFittable)


def test_a_frame_without_depth_is_one_without_readings(encoder, frame):
    missing = encoder.encode(dataclasses.replace(frame, depth=None))
    empty = encoder.encode(dataclasses.replace(frame, depth=np.zeros((120, 160), np.float32)))
    for a, b in zip(missing.descriptors, empty.descriptors, strict=True):
        np.testing.assert_array_equal(a, b)
    assert max(median_cosine(missing, encoder.encode(frame))) < 0.999


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 60.0])
def test_values_that_are_no_readings_count_as_none(encoder, frame, value):
    hole, odd = frame.depth.copy(), frame.depth.copy()
    hole[40:60, 30:90], odd[40:60, 30:90] = 0, value
    a, b = (encoder.encode(dataclasses.replace(frame, depth=depth)) for depth in (hole, odd))
    np.testing.assert_array_equal(a.finest, b.finest)


def test_a_larger_image_of_the_same_view_gives_similar_features(encoder, frame):
    size = (400, 300)
    large = RgbdFrame(
        stamp_ns=0,
        rgb=cv2.resize(frame.rgb, size, interpolation=cv2.INTER_CUBIC),
        depth=cv2.resize(frame.depth, size, interpolation=cv2.INTER_NEAREST),
        intrinsics=resize_intrinsics(CAMERA, *size),
    )
    assert min(median_cosine(encoder.encode(frame), encoder.encode(large))) > MIN_RESIZED_COSINE


def test_depth_is_never_averaged_over_an_edge(frame):
    seen = []

    class Recorder:
        radii, descriptor_dim, on_device = (0.2,), 4, SimpleNamespace(find=lambda: None)

        def run(self, image, depth, intrinsics):
            seen.append((image, depth, intrinsics))
            return (np.zeros((depth.size // 64, 4), np.float32),)

    depth = np.where(np.arange(640) < 333, 1.0, 3.0).astype(np.float32)[None].repeat(480, axis=0)
    camera = resize_intrinsics(CAMERA, 640, 480)
    wide = RgbdFrame(stamp_ns=0, rgb=np.full((480, 640, 3), 255, np.uint8), depth=depth, intrinsics=camera)
    CompactPatchEncoder(name="x", image_height=HEIGHT, weights_sha256="0", session=Recorder(), radius=0.2).encode(wide)
    image, small, intrinsics = seen[0]
    assert set(np.unique(small)) == {1.0, 3.0}
    assert (image.shape, small.shape) == ((1, 3, 120, 160), (1, 120, 160))
    np.testing.assert_allclose(image, 1.0, atol=1e-6)
    np.testing.assert_allclose(intrinsics, [[120.0, 120.0, 79.5, 59.5]], atol=1e-4)


def test_a_stored_keyframe_is_described_like_its_frame(encoder, frame):
    features = encoder.encode(frame)
    columns, rows = np.rint(features.keypoints_px).astype(int).T
    points = np.zeros((len(rows), 3), np.float32)
    points[:, 2] = frame.depth[rows, columns]
    keyframe = Keyframe(
        keyframe_id=1,
        scene_id=1,
        stamp_ns=0,
        T_map_camera=np.eye(4),
        intrinsics=CAMERA,
        grid_shape=features.grid_shape,
        keypoints_px=features.keypoints_px,
        descriptors=(),
        points_camera=points,
        thumbnail_jpeg=cv2.imencode(".jpg", frame.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes(),
    )
    assert min(median_cosine(features, encoder.encode(keyframe_frame(keyframe)))) > MIN_RESIZED_COSINE


def test_checksum_tells_apart_what_changes_the_output(encoder, monkeypatch):
    other_height = make_encoder(EncoderSettings(model=MODEL, image_height=HEIGHT + 8))
    assert encoder.model.checksum != other_height.model.checksum
    again = make_encoder(EncoderSettings(model=MODEL, image_height=HEIGHT))
    assert encoder.model == again.model


def test_frames_that_stay_on_the_device_are_described_alike(encoder, frame):
    by_torch = make_encoder(
        EncoderSettings(model=MODEL, image_height=HEIGHT), inference=InferenceSettings(backend="torch", device="cpu")
    )
    size = (333, 250)
    large = RgbdFrame(
        stamp_ns=0,
        rgb=cv2.resize(frame.rgb, size, interpolation=cv2.INTER_CUBIC),
        depth=cv2.resize(frame.depth, size, interpolation=cv2.INTER_NEAREST),
        intrinsics=resize_intrinsics(CAMERA, *size),
    )
    odd = large.depth.copy()
    odd[40:60, 30:90], odd[100:110] = np.nan, 60.0
    for one in (frame, large, dataclasses.replace(large, depth=None), dataclasses.replace(large, depth=odd)):
        there, here = by_torch.encode(one), encoder.encode(one)
        assert isinstance(there.descriptors, DeviceDescriptors)
        assert there.grid_shape == here.grid_shape
        # OpenCV rounds the resized picture to bytes
        assert min(median_cosine(there, here)) > MIN_ROUNDED_COSINE
        np.testing.assert_array_equal(there.finest, by_torch.encode(one).finest)


def test_a_frame_goes_to_the_device_as_it_is(frame):
    upload = FrameUpload((120, 160), (64, 88), "cpu")
    camera = np.array([50.0, 51.0, 43.5, 31.5], np.float32)
    image, depth, intrinsics = upload.prepare_frame(frame.rgb, frame.depth, camera)
    grid = make_patch_grid(160, 120, 64)
    assert grid.working_size == (88, 64)
    np.testing.assert_array_equal(depth[0].numpy(), resize_depth(frame.depth, grid))
    np.testing.assert_array_equal(intrinsics.numpy(), camera[None])
    expected = resize_to_grid(frame.rgb, grid).transpose(2, 0, 1)
    assert np.abs(255 * image[0].numpy() - expected).max() < 0.51
    # the next frame takes the place of what was uploaded, not of what was made of it
    upload.prepare_frame(255 - frame.rgb, None, 2 * camera)
    np.testing.assert_array_equal(intrinsics.numpy(), camera[None])
    np.testing.assert_array_equal(depth[0].numpy(), resize_depth(frame.depth, grid))
    assert not upload.prepare_frame(frame.rgb, None, camera)[1].any()
