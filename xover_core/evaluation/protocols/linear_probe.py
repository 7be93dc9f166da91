# SPDX-License-Identifier: Apache-2.0
"""Segmentation by a linear probe (LoCUS, Table 2): what a 1x1 linear classifier reads from patch features.

One classifier for one place, with a class for every object in it. `things` asks for each piece of furniture; `stuff`
for walls, floors and the like, by the largest logit among the objects of a class.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.labelled_patches import UNLABELLED, LabelledScene, LabelledView
from xover_core.evaluation.protocols.patch_sources import PatchFeature
from xover_core.evaluation.protocols.protocol_report import Column, ProtocolReport
from xover_core.evaluation.protocols.protocol_settings import LinearProbeSettings
from xover_core.evaluation.protocols.segmentation_metrics import merge_logits, score_segmentation
from xover_core.evaluation.protocols.softmax_regression import LinearClassifier, fit_classifier
from xover_core.evaluation.provenance import find_provenance
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import Float32Array

PROTOCOL = "linear-probe"
MOST_FREQUENT = "most frequent"
THINGS, STUFF = "things", "stuff"
_MS_PER_S = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearProbeRow:
    """One feature in one task; the fields are keys of the JSON file.

    Attributes:
        feature: name; `most frequent` knows only how frequent each class is.
        task: `things` or `stuff`.
        miou: mean over the classes of TP / (TP + FP + FN).
        jaccard: the same ratio of the sums over the classes.
        map: mean over the classes of the average precision of the normalised logit.
        classes: how many are in the test frames.
        dim: descriptor length, 0 for `most frequent`.
        train_accuracy: share of the training patches whose object is told.
        ms_per_frame: mean time to describe a frame.
    """

    feature: str
    task: str
    miou: float
    jaccard: float
    map: float
    classes: int
    dim: int
    train_accuracy: float
    ms_per_frame: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTask:
    """Frames, and which object is which class.

    Attributes:
        scene: the views.
        object_ids: (K,) ascending, the object of each class.
        stuff: (K,) place of each class in the scene's `stuff_names`.
    """

    scene: LabelledScene
    object_ids: NDArray[np.int64]
    stuff: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearProbe:
    """The table, and the last feature's classifier for pictures."""

    report: ProtocolReport[LinearProbeRow]
    task: ProbeTask
    feature: PatchFeature
    classifier: LinearClassifier


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cost:
    """What a row says besides the scores; see `LinearProbeRow`."""

    dim: int
    train_accuracy: float
    ms_per_frame: float


def make_task(scene: LabelledScene, min_patches: int) -> ProbeTask:
    """Make a class of every object with at least `min_patches` patches in the training views.

    Raises:
        DatasetError: there are fewer than two.
    """
    ids, counts = np.unique(np.concatenate([view.object_ids for view in scene.train]), return_counts=True)
    kept = ids[(counts >= min_patches) & (ids != UNLABELLED)]
    if len(kept) < 2:
        raise DatasetError(
            f"linear probe: expected at least 2 objects with {min_patches} patches each in {len(scene.train)} training"
            f" frames, got {len(kept)}; use more frames."
        )
    stuff = np.array([scene.stuff_of[item] for item in kept.tolist()], np.int64)
    return ProbeTask(scene=scene, object_ids=kept, stuff=stuff)


def measure_linear_probe(
    task: ProbeTask,
    features: Sequence[PatchFeature],
    settings: LinearProbeSettings,
    *,
    notes: tuple[str, ...] = (),
    progress: Progress = ignore_progress,
) -> LinearProbe:
    """Train and test a probe on each feature, fill the table.

    Args:
        task: frames and classes.
        features: at least one; the last is the one of pictures.
        settings: of the protocol.
        notes: lines for people, below the table, before those of the scene.
        progress: called with features done and to come.
    """
    scene = task.scene
    labels, known = _labels(scene.train, task.object_ids), _labels(scene.test, task.object_ids)
    rows = _frequency_rows(task, labels, known)
    for done, feature in enumerate(features, start=1):
        classifier, added = _measure_feature(feature, task, labels, known, settings)
        rows += added
        progress(done, len(features))
    told = float((known >= 0).mean())
    where = "the same frames" if scene.test is scene.train else f"{scene.test_name}, {len(scene.test)} frames"
    return LinearProbe(
        report=ProtocolReport(
            protocol=PROTOCOL,
            title=f"linear probe on {scene.name}: trained on {scene.train_name}, {len(scene.train)} frames, tested on"
            f" {where}",
            notes=(
                *notes,
                *scene.notes,
                f"{len(task.object_ids)} objects; {100 * told:.0f} % of the test patches lie on one of them",
            ),
            columns=_COLUMNS,
            rows=tuple(rows),
            settings=settings,
            provenance=find_provenance(),
            recording=scene.name,
            facts={"objects": len(task.object_ids), "share_of_test_patches": told},
        ),
        task=task,
        feature=features[-1],
        classifier=classifier,
    )


def describe_views(feature: PatchFeature, views: Sequence[LabelledView]) -> Float32Array:
    """(V * N, D) descriptors of all patches of some views."""
    return np.concatenate([feature.finish(feature.source.describe(view.frame)) for view in views])


def _labels(views: Sequence[LabelledView], object_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(V * N,) class of every patch, -1 where its object is none of the classes."""
    ids = np.concatenate([view.object_ids for view in views])
    place = np.minimum(np.searchsorted(object_ids, ids), len(object_ids) - 1)
    return np.where(object_ids[place] == ids, place, -1)


def _measure_feature(
    feature: PatchFeature,
    task: ProbeTask,
    labels: NDArray[np.int64],
    known: NDArray[np.int64],
    settings: LinearProbeSettings,
) -> tuple[LinearClassifier, list[LinearProbeRow]]:
    """Train on the patches whose class is known, test likewise."""
    start = time.perf_counter()
    scene = task.scene
    train = describe_views(feature, scene.train)
    ms_per_frame = _MS_PER_S * (time.perf_counter() - start) / len(scene.train)
    test = train if scene.test is scene.train else describe_views(feature, scene.test)
    train, labels = train[labels >= 0], labels[labels >= 0]
    classifier = fit_classifier(train, labels, len(task.object_ids), settings.max_iterations)
    accuracy = float((classifier.logits(train).argmax(axis=1) == labels).mean())
    logits = classifier.logits(test[known >= 0])
    cost = _Cost(dim=train.shape[1], train_accuracy=accuracy, ms_per_frame=ms_per_frame)
    return classifier, _make_rows(feature.name, task, logits, known[known >= 0], cost)


def _frequency_rows(task: ProbeTask, labels: NDArray[np.int64], known: NDArray[np.int64]) -> list[LinearProbeRow]:
    """What is reached without looking."""
    counts = np.bincount(labels[labels >= 0], minlength=len(task.object_ids))
    known = known[known >= 0]
    logits = np.broadcast_to(np.log(counts).astype(np.float32), (len(known), len(counts)))
    cost = _Cost(dim=0, train_accuracy=float(counts.max() / counts.sum()), ms_per_frame=0.0)
    return _make_rows(MOST_FREQUENT, task, logits, known, cost)


def _make_rows(
    feature: str,
    task: ProbeTask,
    logits: Float32Array,
    labels: NDArray[np.int64],
    cost: _Cost,
) -> list[LinearProbeRow]:
    """One row for things, one for stuff, from the (N, K) logits of patches with (N,) known labels."""
    groups = np.arange(len(task.scene.stuff_names))
    things = np.flatnonzero(task.stuff == groups[-1])
    merged = merge_logits(logits, task.stuff, len(groups))
    scores = {
        THINGS: score_segmentation(logits, labels, things),
        STUFF: score_segmentation(merged, task.stuff[labels], groups),
    }
    return [
        LinearProbeRow(
            feature=feature,
            task=name,
            miou=score.miou,
            jaccard=score.jaccard,
            map=score.map,
            classes=score.classes,
            dim=cost.dim,
            train_accuracy=cost.train_accuracy,
            ms_per_frame=cost.ms_per_frame,
        )
        for name, score in scores.items()
    ]


_COLUMNS: tuple[Column[LinearProbeRow], ...] = (
    Column("feature", lambda row: row.feature),
    Column("task", lambda row: row.task),
    Column("mIoU", lambda row: f"{row.miou:.3f}"),
    Column("Jaccard", lambda row: f"{row.jaccard:.3f}"),
    Column("mAP", lambda row: f"{row.map:.3f}"),
    Column("classes", lambda row: str(row.classes)),
    Column("dim", lambda row: str(row.dim) if row.dim else "-"),
    Column("train accuracy", lambda row: f"{row.train_accuracy:.3f}"),
    Column("ms/frame", lambda row: f"{row.ms_per_frame:.0f}" if row.dim else "-"),
)
