# SPDX-License-Identifier: Apache-2.0
"""The localizer as a whole: a room mapped by one drive, frames of another drive localized in it."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from xover_core.config import EncoderSettings, MatchingSettings, XoverSettings
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.encoders.factory import make_encoder
from xover_core.errors import MapFormatError, ModelError
from xover_core.geometry.camera import resize_intrinsics
from xover_core.geometry.transforms import make_pose, pose_error
from xover_core.landmark_map import map_reader
from xover_core.landmark_map.landmark_arrays import empty_landmarks
from xover_core.landmark_map.landmark_blocks import ResidentBlocks
from xover_core.landmark_map.lazy_keyframes import LazyKeyframes
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.landmark_map.map_storage import MapStorage, new_header
from xover_core.localization.localizer import Localizer, load_localizer
from xover_core.types import LocalizationResult, LocalizationState, PoseHint, RgbdFrame

# the encoder that can be fitted to a site, and the fastest
SETTINGS = XoverSettings(encoder=EncoderSettings(model="rootsift-pca64"))
# Some views of the second drive show a bare wall, or what the first drive never looked at; 9 of 11 measured.
MIN_SHARE_NEAR = 0.6
NEAR_M, NEAR_DEG = 0.25, 10.0
# What calls a LOCALIZED answer wrong
WRONG_M, WRONG_DEG = 1.0, 30.0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Rendering small images in several threads is slower, and the tests' machine has few cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def room():
    return make_apartment(3, num_rooms=1)


@pytest.fixture(scope="module")
def map_path(room, tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "room.xover"
    builder = open_map_builder(path, SETTINGS)
    for item in ApartmentWalk(room, seed=1, rate_hz=2.0):
        builder.add(item.frame, item.T_world_camera)
    builder.finish()
    builder.storage.close()
    return path


@pytest.fixture(scope="module")
def localizer(map_path):
    return load_localizer(map_path, SETTINGS)


@pytest.fixture(scope="module")
def queries(room):
    walk = ApartmentWalk(room, seed=2, rate_hz=2.0)
    return [walk.item(i) for i in range(0, len(walk), 2)]


@pytest.fixture(scope="module")
def answers(localizer, queries):
    return [localizer.localize_image(item.frame) for item in queries]


@pytest.fixture(scope="module")
def easy(queries, answers):
    """The query that is localized best."""
    return queries[int(np.argmax([answer.probability for answer in answers]))]


def error_of(T_map_camera, item) -> tuple[float, float]:
    distance, angle = pose_error(T_map_camera, item.T_world_camera)
    return distance, float(np.rad2deg(angle))


def is_near(answer: LocalizationResult, item) -> bool:
    """Whether the best hypothesis is right."""
    if not answer.hypotheses:
        return False
    distance, angle_deg = error_of(answer.hypotheses[0].T_map_camera, item)
    return distance <= NEAR_M and angle_deg <= NEAR_DEG


def is_wrong(answer: LocalizationResult, item) -> bool:
    """Whether a pose is given that is far off."""
    if answer.T_map_camera is None:
        return False
    distance, angle_deg = error_of(answer.T_map_camera, item)
    return distance > WRONG_M or angle_deg > WRONG_DEG


def same(a: LocalizationResult, b: LocalizationResult) -> bool:
    """Whether two answers are equal to the last bit, but for the time that they took."""
    poses = [(x.state, x.reason, x.probability, None if x.T_map_camera is None else x.T_map_camera.tolist(),
              [(h.probability, h.T_map_camera.tolist()) for h in x.hypotheses]) for x in (a, b)]  # fmt: skip
    return poses[0] == poses[1]


def test_a_map_that_is_read_piece_by_piece_gives_the_same_answers(map_path, queries, answers, monkeypatch):
    monkeypatch.setattr(map_reader, "RESIDENT_FACTOR", 1e9)
    # room for a few keyframes only
    small = dataclasses.replace(SETTINGS, retrieval=dataclasses.replace(SETTINGS.retrieval, cache_mb=16.0))
    lazy = load_localizer(map_path, small)
    assert isinstance(lazy.landmark_map.keyframes, LazyKeyframes)
    assert all(same(lazy.localize_image(item.frame), answer) for item, answer in zip(queries, answers, strict=True))


def test_most_views_are_found_and_no_answer_is_wrong(answers, queries):
    near = [is_near(answer, item) for answer, item in zip(answers, queries, strict=True)]
    assert np.mean(near) >= MIN_SHARE_NEAR
    assert not any(is_wrong(answer, item) for answer, item in zip(answers, queries, strict=True))
    assert LocalizationState.LOCALIZED in {answer.state for answer in answers}


def test_answers_carry_their_evidence(localizer, answers, queries):
    keyframes = {k.keyframe_id: k for k in localizer.landmark_map.keyframes}
    for answer, item in zip(answers, queries, strict=True):
        assert answer.stamp_ns == item.frame.stamp_ns
        assert [name for name, _ in answer.timings_ms] == [
            "encode", "scenes", "retrieve", "match", "solve", "verify", "relative"
        ]  # fmt: skip
        assert answer.latency_ms > 0
        assert sum(scene.probability for scene in answer.scenes) <= 1
        probabilities = [h.probability for h in answer.hypotheses]
        assert probabilities == sorted(probabilities, reverse=True)
        matches = answer.matches
        assert matches is not None
        assert matches.keyframe_id in keyframes
        assert len(matches.query_px) == len(matches.keyframe_px) == len(matches.similarities) == len(matches.is_inlier)
        if is_near(answer, item):
            assert matches.keyframe_id == answer.hypotheses[0].keyframe_id
            assert matches.is_inlier.sum() >= 4


def test_relative_pose_leads_from_the_keyframe_to_the_query(localizer, answers, queries):
    keyframes = {k.keyframe_id: k for k in localizer.landmark_map.keyframes}
    errors_deg = []
    for answer, item in zip(answers, queries, strict=True):
        if answer.state is LocalizationState.LOCALIZED and answer.relative_pose is not None:
            relative = answer.relative_pose
            assert relative.num_inliers <= relative.num_matches
            T_map_query = keyframes[relative.keyframe_id].T_map_camera @ relative.T_keyframe_query
            errors_deg.append(error_of(T_map_query, item)[1])
    assert errors_deg
    # It is the refined pose seen from the keyframe, so as near as that one is.
    assert np.median(errors_deg) < NEAR_DEG


def test_colour_alone_gives_a_pose_or_none_but_no_wrong_one(localizer, queries):
    mono = [localizer.localize_image(dataclasses.replace(item.frame, depth=None)) for item in queries]
    assert not any(is_wrong(answer, item) for answer, item in zip(mono, queries, strict=True))
    assert any(is_near(answer, item) for answer, item in zip(mono, queries, strict=True))
    for answer in mono:
        assert all(np.isnan(h.depth_agreement) for h in answer.hypotheses)
        # the map's points give the scale where a pose was found; the 5-point solver alone knows a direction
        assert answer.relative_pose is None or answer.relative_pose.is_metric == bool(answer.hypotheses)


@pytest.mark.parametrize("reading", [0.0, np.nan, 50.0])
def test_depth_without_a_usable_reading_is_no_depth(localizer, easy, reading):
    without = localizer.localize_image(dataclasses.replace(easy.frame, depth=None))
    nothing = np.full_like(easy.frame.depth, reading)
    assert same(localizer.localize_image(dataclasses.replace(easy.frame, depth=nothing)), without)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_image_is_unknown(localizer, easy, value):
    answer = localizer.localize_image(dataclasses.replace(easy.frame, rgb=np.full_like(easy.frame.rgb, value)))
    assert answer.state is LocalizationState.UNKNOWN
    assert answer.hypotheses == ()
    assert answer.T_map_camera is None


def test_noise_is_unknown(localizer, easy, random):
    rgb = random.integers(0, 255, easy.frame.rgb.shape, dtype=np.uint8)
    assert localizer.localize_image(dataclasses.replace(easy.frame, rgb=rgb)).state is LocalizationState.UNKNOWN


def test_another_apartment_is_not_taken_for_this_one(localizer):
    walk = ApartmentWalk(make_apartment(8, num_rooms=1), seed=2, rate_hz=2.0)
    states = [localizer.localize_image(walk.item(i).frame).state for i in range(0, len(walk), 4)]
    assert LocalizationState.LOCALIZED not in states
    assert np.mean([state is LocalizationState.UNKNOWN for state in states]) > 0.5


def test_a_camera_of_another_size_is_localized_too(localizer, easy):
    frame = easy.frame
    large = RgbdFrame(
        stamp_ns=frame.stamp_ns,
        rgb=cv2.resize(frame.rgb, (640, 480), interpolation=cv2.INTER_CUBIC),
        depth=cv2.resize(frame.depth, (640, 480), interpolation=cv2.INTER_NEAREST),
        intrinsics=resize_intrinsics(frame.intrinsics, 640, 480),
    )
    assert is_near(localizer.localize_image(large), easy)


def test_a_gray_image_is_localized_too(localizer, easy):
    gray = cv2.cvtColor(easy.frame.rgb, cv2.COLOR_RGB2GRAY)
    frame = dataclasses.replace(easy.frame, rgb=np.repeat(gray[..., None], 3, axis=2))
    assert is_near(localizer.localize_image(frame), easy)


@pytest.mark.parametrize("size", [(1, 1), (5, 200), (64, 16)])
def test_images_of_any_size_have_an_answer(localizer, easy, size, random):
    frame = RgbdFrame(
        stamp_ns=0,
        rgb=random.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8),
        depth=np.full((size[1], size[0]), 2.0, np.float32),
        intrinsics=resize_intrinsics(easy.frame.intrinsics, *size),
    )
    assert localizer.localize_image(frame).T_map_camera is None


def test_the_same_frame_and_seed_give_the_same_answer(map_path, localizer, easy, answers):
    assert same(localizer.localize_image(easy.frame), localizer.localize_image(easy.frame))
    assert same(load_localizer(map_path, SETTINGS).localize_image(easy.frame), localizer.localize_image(easy.frame))


@pytest.fixture(scope="module")
def drive(room):
    """Consecutive frames with odometry."""
    walk = ApartmentWalk(room, seed=1, rate_hz=2.0)
    return [walk.item(i) for i in range(3, 12)]


def test_a_drive_is_localized_on_agreement(localizer, drive):
    localizer.reset()
    answers = [localizer.process(item.frame) for item in drive]
    assert answers[0].state is not LocalizationState.LOCALIZED
    assert answers[-1].state is LocalizationState.LOCALIZED
    assert not any(is_wrong(answer, item) for answer, item in zip(answers, drive, strict=True))
    last = answers[-1]
    np.testing.assert_allclose(last.T_map_odom @ drive[-1].frame.T_odom_camera, last.T_map_camera, atol=1e-9)
    localizer.reset()
    assert localizer.process(drive[-1].frame).state is not LocalizationState.LOCALIZED


def test_single_images_leave_the_belief_alone(localizer, drive, easy):
    localizer.reset()
    undisturbed = [localizer.process(item.frame) for item in drive[:4]]
    localizer.reset()
    disturbed = []
    for item in drive[:4]:
        localizer.localize_image(easy.frame)
        disturbed.append(localizer.process(item.frame))
    assert all(same(a, b) for a, b in zip(undisturbed, disturbed, strict=True))


def hint_at(T_map_camera) -> PoseHint:
    return PoseHint(stamp_ns=0, T_map_camera=T_map_camera, covariance=np.diag([0.25] * 6))


def test_a_hint_moves_probability_until_localized_or_reset(localizer, drive, queries, answers):
    # a query whose answer leaves room in both directions
    index = int(np.argmin([abs(a.probability - 0.6) if a.hypotheses else 1.0 for a in answers]))
    frame = dataclasses.replace(queries[index].frame, T_odom_camera=None)
    localizer.reset()
    alone = localizer.process(frame)
    best = alone.hypotheses[0].T_map_camera
    far = make_pose(best[:3, :3], best[:3, 3] + (20.0, 0.0, 0.0))
    localizer.set_hint(hint_at(best))
    assert same(localizer.localize_image(frame), alone)
    assert localizer.process(frame).probability > alone.probability
    localizer.set_hint(hint_at(far))
    assert localizer.process(frame).probability < alone.probability
    localizer.reset()
    assert same(localizer.process(frame), alone)


def test_a_hint_ends_with_the_answer(localizer, drive):
    localizer.reset()
    localizer.set_hint(hint_at(drive[0].T_world_camera))
    states = [localizer.process(item.frame).state for item in drive]
    assert states[-1] is LocalizationState.LOCALIZED
    frame = dataclasses.replace(drive[0].frame, T_odom_camera=None)
    assert same(localizer.process(frame), localizer.localize_image(frame))


def test_a_hint_is_no_answer(localizer, easy):
    localizer.reset()
    localizer.set_hint(hint_at(easy.T_world_camera))
    blank = dataclasses.replace(easy.frame, rgb=np.zeros_like(easy.frame.rgb))
    assert localizer.process(blank).state is LocalizationState.UNKNOWN
    localizer.reset()


def make_localizer(localizer, **changes) -> Localizer:
    """The same localizer with a changed map."""
    landmark_map = dataclasses.replace(localizer.landmark_map, **changes)
    encoder = make_encoder(SETTINGS.encoder, landmark_map.header.site_weights)
    return Localizer(landmark_map, encoder, SETTINGS)


def test_a_map_without_landmarks_works(localizer, easy):
    model = localizer.landmark_map.header.model
    bare = make_localizer(localizer, blocks=ResidentBlocks(empty_landmarks(model.descriptor_dim, model.radii[0])))
    assert is_near(bare.localize_image(easy.frame), easy)


def test_a_map_with_one_keyframe_works(localizer, easy):
    [best] = [k for k in localizer.landmark_map.keyframes
              if k.keyframe_id == localizer.localize_image(easy.frame).hypotheses[0].keyframe_id]  # fmt: skip
    assert is_near(make_localizer(localizer, keyframes=(best,)).localize_image(easy.frame), easy)


def test_a_map_whose_keyframes_have_no_depth_gives_no_pose(localizer, easy):
    flat = tuple(
        dataclasses.replace(k, points_camera=np.full_like(k.points_camera, np.nan))
        for k in localizer.landmark_map.keyframes
    )
    model = localizer.landmark_map.header.model
    blind = make_localizer(
        localizer, keyframes=flat, blocks=ResidentBlocks(empty_landmarks(model.descriptor_dim, model.radii[0]))
    )
    for frame in (easy.frame, dataclasses.replace(easy.frame, depth=None)):
        assert blind.localize_image(frame).hypotheses == ()


def test_an_empty_map_is_refused(localizer):
    with pytest.raises(MapFormatError, match="no keyframes; map the place first"):
        make_localizer(localizer, keyframes=())


def test_a_map_of_another_model_is_refused(localizer):
    header = localizer.landmark_map.header
    other = dataclasses.replace(header, model=dataclasses.replace(header.model, checksum="0" * 64))
    with pytest.raises(MapFormatError, match="use the model that the map was built with"):
        make_localizer(localizer, header=other)


def test_settings_that_do_not_fit_the_map_file_are_refused(map_path, tmp_path):
    with pytest.raises(MapFormatError, match=r"made by model 'rootsift-pca64', but setting encoder\.model is 'other'"):
        load_localizer(map_path, XoverSettings(encoder=EncoderSettings(model="other")))
    with pytest.raises(MapFormatError, match="checksum"):
        load_localizer(map_path, XoverSettings(encoder=dataclasses.replace(SETTINGS.encoder, image_height=120)))
    with pytest.raises(MapFormatError, match="missing"):
        load_localizer(tmp_path / "missing.xover", SETTINGS)


def test_a_map_file_with_damaged_site_weights_is_refused(tmp_path):
    model = make_encoder(SETTINGS.encoder).model
    MapStorage.create(tmp_path / "damaged.xover", new_header(model, b"damaged")).close()
    with pytest.raises(ModelError, match="whitening weights"):
        load_localizer(tmp_path / "damaged.xover", SETTINGS)


def test_matching_that_lets_everything_pass_still_answers(localizer, easy):
    everything = MatchingSettings(min_similarity=-1.0, max_cycle_distance=100.0, max_neighbor_distance=0.0)
    settings = dataclasses.replace(SETTINGS, matching=everything)
    encoder = make_encoder(SETTINGS.encoder, localizer.landmark_map.header.site_weights)
    answer = Localizer(localizer.landmark_map, encoder, settings).localize_image(easy.frame)
    assert not is_wrong(answer, easy)
