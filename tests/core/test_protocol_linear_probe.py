# SPDX-License-Identifier: Apache-2.0
"""The linear probe: its classifier, its metrics against the formulas, and the protocol on hand-made views."""

from __future__ import annotations

import numpy as np
import pytest
from picture_frames import picture_frame
from procedural_scene import hand_built, primitive, scene_object
from scipy.optimize import check_grad

from xover_core.datasets.procedural import ObjectClass
from xover_core.datasets.procedural.scene import Shape
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols import softmax_regression
from xover_core.evaluation.protocols.apartment_labels import APARTMENT_STUFF, apartment_stuff
from xover_core.evaluation.protocols.labelled_patches import (
    UNLABELLED,
    LabelledScene,
    LabelledView,
    patch_labels,
    spread_indices,
)
from xover_core.evaluation.protocols.linear_probe import MOST_FREQUENT, make_task, measure_linear_probe
from xover_core.evaluation.protocols.patch_sources import PatchFeature, protocol_grid, unit_rows
from xover_core.evaluation.protocols.protocol_settings import LinearProbeSettings
from xover_core.evaluation.protocols.segmentation_metrics import merge_logits, normalise_logits, score_segmentation
from xover_core.evaluation.protocols.softmax_regression import cross_entropy, fit_classifier

# Finite differences of a float32 loss.
GRADIENT_TOLERANCE = 2e-3
ROUNDING = 1e-6


def test_the_gradient_is_that_of_the_loss(monkeypatch):
    monkeypatch.setattr(softmax_regression, "_BLOCK", 7)  # blocks and a rest
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((30, 4)).astype(np.float32), rng.integers(0, 3, 30)
    parameters = rng.standard_normal(15)
    error = check_grad(
        lambda p: cross_entropy(p, features, labels, 3)[0],
        lambda p: cross_entropy(p, features, labels, 3)[1],
        parameters,
        epsilon=1e-2,
    )
    assert error < GRADIENT_TOLERANCE


def test_the_loss_of_knowing_nothing_is_the_entropy():
    features, labels = np.ones((8, 2), np.float32), np.arange(8) % 4
    assert cross_entropy(np.zeros(12), features, labels, 4)[0] == pytest.approx(np.log(4), abs=ROUNDING)


def test_separable_classes_are_separated():
    rng = np.random.default_rng(0)
    centres = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    labels = rng.integers(0, 3, 300)
    features = (centres[labels] + 0.1 * rng.standard_normal((300, 3))).astype(np.float32)
    classifier = fit_classifier(features, labels, 3, 100)
    assert (classifier.logits(features).argmax(axis=1) == labels).all()
    again = fit_classifier(features, labels, 3, 100)
    np.testing.assert_array_equal(classifier.weights, again.weights)


def one_hot(classes, num_classes):
    return np.eye(num_classes, dtype=np.float32)[classes]


def test_scores_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 1, 0])
    found = score_segmentation(one_hot(predicted, 4), labels, np.arange(4))
    # class 0: 2 / (2 + 1 + 1), class 1: 2 / (2 + 1 + 0), class 2: 0 / (0 + 0 + 1); class 3 does not occur
    assert found.miou == pytest.approx((2 / 4 + 2 / 3 + 0) / 3)
    assert found.jaccard == pytest.approx(4 / (4 + 3 + 1))
    # class 0: ranked first are 0 0 2, then all; class 1: 0 1 1, then all; class 2: all are equal
    precisions = [(2 * 2 / 3 + 3 / 6) / 3, 2 / 3, 1 / 6]
    assert found.map == pytest.approx(np.mean(precisions))
    assert found.classes == 3


def test_only_counted_classes_count():
    labels = np.array([0, 0, 1, 1])
    predicted = np.array([0, 1, 1, 1])
    found = score_segmentation(one_hot(predicted, 2), labels, np.array([1]))
    assert (found.miou, found.classes) == (pytest.approx(2 / 3), 1)  # the patch of class 0 is its false positive
    nothing = score_segmentation(one_hot(predicted, 3), labels, np.array([2]))
    assert (nothing.miou, nothing.classes) == (0.0, 0)


def test_perfect_segmentation_scores_one():
    labels = np.array([0, 1, 2, 2])
    found = score_segmentation(one_hot(labels, 3), labels, np.arange(3))
    assert (found.miou, found.jaccard, found.map) == (1.0, 1.0, 1.0)


def test_logits_are_stretched_over_the_classes_of_each_patch():
    found = normalise_logits(np.array([[1, 3, 2], [-4, -4, -4]], np.float32))
    np.testing.assert_allclose(found, [[0, 1, 0.5], [0, 0, 0]])


def test_merged_logits_are_the_largest_of_the_group():
    logits = np.array([[1, 5, 2], [0, -1, 3]], np.float32)
    found = merge_logits(logits, np.array([0, 2, 0]), 3)
    np.testing.assert_array_equal(found, [[2, 1, 5], [3, -1, -1]])


def test_labels_are_read_at_the_centres_of_patches():
    rgb = np.zeros((240, 320, 3), np.uint8)
    instance = np.arange(240 * 320, dtype=np.int32).reshape(240, 320)
    found = patch_labels(instance, rgb)
    pixels = protocol_grid(rgb).keypoints_px
    row = 3 * 40 + 5
    assert abs(found[row] // 320 - pixels[row, 1]) <= 0.5
    assert abs(found[row] % 320 - pixels[row, 0]) <= 0.5


def test_labels_may_have_another_size_than_the_image():
    instance = np.random.default_rng(0).integers(0, 9, (30, 40)).astype(np.int32)
    large = instance.repeat(16, axis=0).repeat(16, axis=1)
    rgb = np.zeros((240, 320, 3), np.uint8)
    np.testing.assert_array_equal(patch_labels(instance, rgb), instance.ravel())
    np.testing.assert_array_equal(patch_labels(large, rgb), instance.ravel())


@pytest.mark.parametrize(("count", "wanted", "expected"), [(10, 3, [0, 4, 9]), (3, 9, [0, 1, 2]), (1, 4, [0])])
def test_frames_are_evenly_spread(count, wanted, expected):
    assert spread_indices(count, wanted) == expected


def test_which_object_of_an_apartment_is_what():
    box = primitive(Shape.BOX, (0, 0, 0.5), (0.5, 0.5, 0.5))
    kinds = (ObjectClass.WALL, ObjectClass.WALL, ObjectClass.SOFA, ObjectClass.CHAIR)
    apartment = hand_built(*(scene_object(i, kind, (0.0, 0.0, 0.0), box) for i, kind in enumerate(kinds, start=1)))
    found = apartment_stuff(apartment)
    names = {item: APARTMENT_STUFF[place] for item, place in found.items()}
    assert names == {0: "outside", 1: "wall", 2: "wall", 3: "objects", 4: "objects"}


def scene_of(train, test):
    """Two walls, two things."""
    return LabelledScene(
        name="test",
        train=train,
        test=test,
        train_name="here",
        test_name="there",
        stuff_names=("wall", "floor", "objects"),
        stuff_of={1: 0, 2: 0, 3: 2, 4: 2},
        notes=("a note",),
    )


class ColorSource:
    """Mean colour of each patch."""

    def describe(self, frame):
        return unit_rows(frame.rgb.reshape(30, 8, 40, 8, 3).mean(axis=(1, 3)).reshape(-1, 3))


def view(seed, *, colors):
    """Blocks of the objects 1 to 4 in their colours, with noise."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 5, (6, 8)).repeat(5, axis=0).repeat(5, axis=1)
    rgb = np.array(colors)[ids - 1].repeat(8, axis=0).repeat(8, axis=1) + rng.integers(-9, 10, (240, 320, 3))
    frame = picture_frame(np.clip(rgb, 0, 255).astype(np.uint8))
    return LabelledView(frame=frame, object_ids=ids.ravel().astype(np.int64))


DISTINCT = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30))
# both walls look alike, and so do sofa and chair
PAIRWISE = ((200, 30, 30), (200, 30, 30), (30, 30, 200), (30, 30, 200))
FEATURES = [PatchFeature(name="color", source=ColorSource())]


def rows_of(colors, **settings):
    task = make_task(scene_of((view(0, colors=colors),), (view(1, colors=colors),)), 10)
    done = measure_linear_probe(task, FEATURES, LinearProbeSettings(**settings))
    return {(row.feature, row.task): row for row in done.report.rows}


def test_distinct_objects_are_told_apart():
    rows = rows_of(DISTINCT)
    assert rows["color", "things"].miou == rows["color", "stuff"].miou == 1.0
    assert (rows["color", "things"].classes, rows["color", "stuff"].classes) == (2, 2)
    assert rows[MOST_FREQUENT, "things"].miou < 0.3
    assert rows["color", "things"].dim == 3


def test_stuff_is_told_where_its_pieces_are_not():
    rows = rows_of(PAIRWISE)
    assert rows["color", "stuff"].miou == 1.0
    assert rows["color", "things"].miou < 0.6
    assert rows["color", "things"].train_accuracy < 0.7


def test_the_same_frames_are_easier():
    # sixteen random numbers tell nothing of another frame
    class NoiseSource:
        def describe(self, frame):
            seed = int(frame.rgb.astype(np.int64).sum())
            return unit_rows(np.random.default_rng(seed).standard_normal((1200, 16)))

    noise = [PatchFeature(name="noise", source=NoiseSource())]
    views = [(view(seed, colors=DISTINCT),) for seed in (0, 1)]
    scores = []
    for test in views:
        task = make_task(scene_of(views[0], test), 10)
        rows = measure_linear_probe(task, noise, LinearProbeSettings()).report.rows
        scores.append(next(row.map for row in rows if row.feature == "noise"))
    assert scores[0] > scores[1] + 0.02


def test_objects_with_few_patches_are_no_class():
    few = LabelledView(frame=view(0, colors=DISTINCT).frame, object_ids=np.array([1] * 600 + [2] * 595 + [3] * 5))
    scene = scene_of((few,), (few,))
    task = make_task(scene, 10)
    assert task.object_ids.tolist() == [1, 2]
    done = measure_linear_probe(task, FEATURES, LinearProbeSettings())
    assert done.report.facts["share_of_test_patches"] == pytest.approx(1195 / 1200)
    with pytest.raises(DatasetError, match="use more frames"):
        make_task(scene, 599)


def test_unlabelled_patches_are_no_class():
    ids = view(0, colors=DISTINCT).object_ids.copy()
    ids[:300] = UNLABELLED
    half = LabelledView(frame=view(0, colors=DISTINCT).frame, object_ids=ids)
    views = (half,)
    task = make_task(scene_of(views, views), 10)
    assert task.object_ids.tolist() == [1, 2, 3, 4]
    report = measure_linear_probe(task, FEATURES, LinearProbeSettings()).report
    assert report.facts["share_of_test_patches"] == pytest.approx(900 / 1200)
    assert report.title.endswith("trained on here, 1 frames, tested on the same frames")
    assert "a note" in report.notes
