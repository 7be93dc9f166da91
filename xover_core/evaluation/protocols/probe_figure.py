# SPDX-License-Identifier: Apache-2.0
"""Test frames of a linear probe with true and predicted objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xover_core.evaluation.protocols.labelled_patches import spread_indices
from xover_core.evaluation.protocols.linear_probe import LinearProbe, describe_views
from xover_core.evaluation.protocols.patch_sources import protocol_grid
from xover_core.types import Float64Array

_NUM_VIEWS = 5
_DPI = 130
# Objects that are no class are white.
_NO_CLASS = (1.0, 1.0, 1.0)
# Hues a golden ratio apart stay different however many there are.
_GOLDEN = 0.618034


def draw_segmentation(probe: LinearProbe, path: Path) -> None:
    """Write the picture as PNG: frames evenly chosen from the test views; folders on the way are made."""
    task, views = probe.task, probe.task.scene.test
    chosen = spread_indices(len(views), _NUM_VIEWS)
    colors = _class_colors(len(task.object_ids))
    figure = Figure(figsize=(2.6 * len(chosen) + 0.4, 6.4), layout="constrained")
    axes = figure.subplots(3, len(chosen), squeeze=False)
    for column, index in enumerate(chosen):
        view = views[index]
        place = np.minimum(np.searchsorted(task.object_ids, view.object_ids), len(task.object_ids) - 1)
        truth = np.where(task.object_ids[place] == view.object_ids, place, len(task.object_ids))
        predicted = probe.classifier.logits(describe_views(probe.feature, [view])).argmax(axis=1)
        shape = (*protocol_grid(view.frame.rgb).grid_shape, 3)
        pictures = (view.frame.rgb, colors[truth].reshape(shape), colors[predicted].reshape(shape))
        for row, picture in enumerate(pictures):
            axes[row, column].imshow(picture, interpolation="nearest")
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
    for row, text in enumerate(("test frame", "true objects", "predicted")):
        axes[row, 0].set_ylabel(text)
    figure.suptitle(f"linear probe on {probe.feature.name}; white: objects without a class", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _class_colors(num_classes: int) -> Float64Array:
    """(K + 1, 3) RGB in [0, 1]; the last is for objects that are no class."""
    number: NDArray[np.int64] = np.arange(num_classes)
    hue, value = (number * _GOLDEN) % 1.0, 0.6 + 0.4 * ((number * 7) % 5) / 4
    saturation = 0.55 + 0.45 * ((number * 3) % 4) / 3
    return np.vstack([hsv_to_rgb(np.stack([hue, saturation, value], axis=1)), _NO_CLASS])
