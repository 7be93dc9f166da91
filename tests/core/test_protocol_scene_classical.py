# SPDX-License-Identifier: Apache-2.0
"""Classical descriptors of scenes: renderings of clouds, bags of colours and of RootSIFT."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_up_scene_scans import make_room

from xover_core.encoders.scene_encoder import ColoredPoints, ObjectInput
from xover_core.errors import SensorDataError
from xover_core.evaluation.protocols.classical_scenes import (
    ClassicalSceneEncoder,
    ColorBag,
    RootSiftBag,
    fit_words,
    keypoint_descriptors,
)
from xover_core.evaluation.protocols.cloud_views import NUM_DIRECTIONS, render_cloud
from xover_core.types import SceneModality

# float32 of norm 1
ROUNDING = 1e-6
# Points under the place from where a cloud is looked at, 1.3 m above them; so many that they are its middle.
FLOOR = np.zeros((5, 3), np.float32)


def picture(seed=0):
    """Blobs, 60 x 80."""
    noise = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)
    return cv2.GaussianBlur(noise, (7, 7), 0) * 2


def walls(front, back):
    """A cloud of two walls 4 m apart, at x = 2 and x = -2, of one colour each, and a floor in the middle."""
    y, z = np.meshgrid(np.linspace(-2, 2, 120), np.linspace(0, 2.6, 80))
    wall = np.stack([np.full(y.size, 2.0), y.ravel(), z.ravel()], axis=1)
    points = np.concatenate([wall, wall * [-1, 1, 1]]).astype(np.float32)
    colors = np.repeat(np.array([front, back], np.uint8), len(wall), axis=0)
    return ColoredPoints(points=points, colors=colors)


def test_renderings_look_all_around():
    pictures = render_cloud(walls((200, 10, 10), (10, 10, 200)))
    assert len(pictures) == NUM_DIRECTIONS
    middle = [tuple(image[55:65, 75:85].reshape(-1, 3).mean(axis=0).round().astype(int)) for image in pictures]
    # along +x the red wall, along -x the blue one, along y nothing
    assert middle[0] == (200, 10, 10)
    assert middle[NUM_DIRECTIONS // 2] == (10, 10, 200)
    assert middle[NUM_DIRECTIONS // 4] == (0, 0, 0)


def test_left_is_left_and_up_is_up():
    points = np.concatenate([np.array([[3.0, 1.0, 0.3]], np.float32), FLOOR])
    low_left = ColoredPoints(points=points, colors=np.array([[255, 0, 0], *[[0, 0, 0]] * len(FLOOR)], np.uint8))
    # a robot that looks along x has y to its left
    rows, columns = np.nonzero(render_cloud(low_left)[0][..., 0] > 200)
    assert columns.max() < 80
    assert rows.min() > 60


def test_near_points_hide_far_ones():
    near, far = np.array([[1.0, 0, 1.3]], np.float32), np.array([[3.0, 0, 1.3]], np.float32)
    points = np.concatenate([near, far, FLOOR])
    colors = np.array([[0, 255, 0], [255, 0, 0], *[[0, 0, 0]] * len(FLOOR)], np.uint8)
    for order in ([0, 1, 2, 3, 4, 5, 6], [1, 0, 2, 3, 4, 5, 6]):
        image = render_cloud(ColoredPoints(points=points[order], colors=colors[order]))[0]
        assert image.reshape(-1, 3).max(axis=0).tolist() == [0, 255, 0]


def test_colours_of_pictures_and_clouds_are_alike():
    bag = ColorBag()
    image = np.zeros((10, 10, 3), np.uint8)
    image[:5], image[5:] = (200, 10, 10), (10, 10, 200)
    cloud = walls((200, 10, 10), (10, 10, 200))
    np.testing.assert_allclose(bag.of_image(image), bag.of_cloud(cloud), atol=ROUNDING)
    assert np.linalg.norm(bag.of_image(picture())) == pytest.approx(1.0, abs=ROUNDING)
    # every colour has a cell
    extremes = np.array([[c, m, y] for c in (0, 255) for m in (0, 255) for y in (0, 255)], np.uint8)[None]
    assert (bag.of_image(extremes) ** 2).sum() == pytest.approx(1.0, abs=ROUNDING)


def test_rootsift_finds_the_same_picture():
    words = np.random.default_rng(0).uniform(0, 0.2, (4, 128)).astype(np.float32)
    encoder = ClassicalSceneEncoder("sift", RootSiftBag(words))
    views = [encoder.embed_views(RootSiftBag(words).of_image(picture(seed))[None]) for seed in range(3)]
    darker = encoder.embed_views(RootSiftBag(words).of_image((picture(1) * 0.8).astype(np.uint8))[None])
    assert np.argmax(np.array(views) @ darker) == 1
    assert encoder.model.descriptor_dim == len(darker) == 4 * 128


def test_a_blank_picture_has_no_keypoint():
    blank = np.full((60, 80, 3), 90, np.uint8)
    assert keypoint_descriptors(blank).shape == (0, 128)
    words = np.eye(4, 128, dtype=np.float32)
    assert (
        not ClassicalSceneEncoder("sift", RootSiftBag(words))
        .embed_views(RootSiftBag(words).of_image(blank)[None])
        .any()
    )


def test_vocabulary_of_made_up_scans():
    words = fit_words([make_room(0)], seed=0)
    assert words.shape[1] == 128
    np.testing.assert_array_equal(words, fit_words([make_room(0)], seed=0))
    with pytest.raises(SensorDataError, match="expected pictures with content"):
        fit_words([], seed=0)


def test_objects_by_what_they_have():
    encoder = ClassicalSceneEncoder("colours", ColorBag())
    cloud = walls((200, 10, 10), (200, 10, 10))
    box = np.zeros(3, np.float32)
    seen = ObjectInput(center=box, size=box, images=(np.full((5, 5, 3), (200, 10, 10), np.uint8),))
    scanned = ObjectInput(center=box, size=box, cloud=cloud)
    rows, scene = encoder.embed_objects([seen, scanned], SceneModality.IMAGE)
    assert rows.any(axis=1).tolist() == [True, False]
    clouds, _ = encoder.embed_objects([seen, scanned], SceneModality.POINT_CLOUD)
    assert clouds.any(axis=1).tolist() == [False, True]
    np.testing.assert_allclose(scene, clouds[1], atol=ROUNDING)
    nothing, zero = encoder.embed_objects([seen], SceneModality.TEXT)
    assert not nothing.any()
    assert not zero.any()


def test_other_modalities_are_refused():
    encoder = ClassicalSceneEncoder("colours", ColorBag())
    with pytest.raises(SensorDataError, match="expected pictures or clouds"):
        encoder.embed_text("a room")
    with pytest.raises(SensorDataError, match="expected pictures or clouds"):
        encoder.embed_floorplan(np.zeros((3, 3, 3), np.uint8))
