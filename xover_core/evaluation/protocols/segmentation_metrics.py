# SPDX-License-Identifier: Apache-2.0
"""Segmentation of patches: mean and micro-averaged intersection over union, mean average precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.evaluation.protocols.average_precision import average_precision
from xover_core.types import Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationScores:
    """Shares in [0, 1].

    Attributes:
        miou: mean over the classes of TP / (TP + FP + FN).
        jaccard: TP / (TP + FP + FN) of the sums over all classes, so frequent classes weigh more.
        map: mean over the classes of the average precision of their normalised logit.
        classes: number of classes that were found in the labels.
    """

    miou: float
    jaccard: float
    map: float
    classes: int


def score_segmentation(
    logits: Float32Array, labels: NDArray[np.int64], counted: NDArray[np.int64]
) -> SegmentationScores:
    """Compare (N, K) logits with (N,) labels.

    Args:
        logits: of every class.
        labels: of every patch.
        counted: classes that are summed and averaged over. Patches of other classes that are taken for one of these
            are its false positives. A class that no label names is left out, for lack of anything to find.

    Returns:
        Zeros when no counted class occurs.
    """
    num_classes = logits.shape[1]
    pairs = np.bincount(labels * num_classes + logits.argmax(axis=1), minlength=num_classes**2)
    confusion = pairs.reshape(num_classes, num_classes).astype(np.float64)
    present = counted[confusion.sum(axis=1)[counted] > 0]
    if not len(present):
        return SegmentationScores(miou=0.0, jaccard=0.0, map=0.0, classes=0)
    right = np.diagonal(confusion)[present]
    union = (confusion.sum(axis=0) + confusion.sum(axis=1))[present] - right
    normalised = normalise_logits(logits)
    precisions = [average_precision(normalised[labels == c, c], normalised[labels != c, c]) for c in present]
    return SegmentationScores(
        miou=float((right / union).mean()),
        jaccard=float(right.sum() / union.sum()),
        map=float(np.mean([p for p in precisions if p is not None])),
        classes=len(present),
    )


def normalise_logits(logits: Float32Array) -> Float32Array:
    """Each row of (N, K) stretched to [0, 1] over the classes, so that patches can be compared."""
    low, high = logits.min(axis=1, keepdims=True), logits.max(axis=1, keepdims=True)
    return np.asarray((logits - low) / np.maximum(high - low, 1e-12), np.float32)


def merge_logits(logits: Float32Array, group_of: NDArray[np.int64], num_groups: int) -> Float32Array:
    """(N, G) the largest of the (N, K) logits of each group; a group without members gets the row's smallest."""
    merged = np.repeat(logits.min(axis=1, keepdims=True), num_groups, axis=1)
    for group in np.unique(group_of):
        merged[:, group] = logits[:, group_of == group].max(axis=1)
    return np.asarray(merged, np.float32)
