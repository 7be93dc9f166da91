# SPDX-License-Identifier: Apache-2.0
"""The objects of a scan from its labelled points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.scene_scan import ScanObject
from xover_core.types import Float32Array


def make_objects(
    points: Float32Array,
    instance: NDArray[np.int32],
    labels: Mapping[int, str],
    sentences: Mapping[int, tuple[str, ...]],
) -> tuple[ScanObject, ...]:
    """Objects by rising id: those that have a label and at least one point.

    Args:
        points: (N, 3) in the scan's frame.
        instance: (N,) object of each point, 0 = none.
        labels: noun of each object.
        sentences: about each object; those without are missing.
    """
    order = np.argsort(instance, kind="stable")
    ids, starts = np.unique(instance[order], return_index=True)
    objects = []
    for object_id, rows in zip(ids.tolist(), np.split(order, starts[1:]), strict=True):
        if object_id in labels and object_id > 0:
            lower, upper = points[rows].min(axis=0).astype(np.float64), points[rows].max(axis=0).astype(np.float64)
            objects.append(
                ScanObject(
                    object_id=object_id,
                    label=labels[object_id],
                    center=(lower + upper) / 2,
                    size=upper - lower,
                    sentences=sentences.get(object_id, ()),
                )
            )
    return tuple(objects)
