# SPDX-License-Identifier: Apache-2.0
"""Labelled views of a ScanNet scan: frames of the one walk that there is, taken in turns for training and testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.image_files import read_color, read_labels
from xover_core.datasets.scannet_labels import LABEL_TABLE, LabelledImage, open_labelled_scan
from xover_core.datasets.scannet_sequence import is_scannet_layout, open_scannet_sequence
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.labelled_patches import (
    THINGS_NAME,
    UNLABELLED,
    LabelledScene,
    LabelledView,
    patch_labels,
    spread_indices,
)
from xover_core.evaluation.protocols.protocol_settings import LinearProbeSettings
from xover_core.evaluation.replay import Progress, ignore_progress
from xover_core.types import CameraIntrinsics, RgbdFrame

# Those of NYU's 40 classes that have no shape of their own; `otherstructure` are columns, beams and the like.
SCAN_STUFF = ("wall", "floor", "ceiling", "door", "window", "otherstructure", THINGS_NAME)
_MAX_ASPECT_DIFFERENCE = 0.01  # ScanNet's colour, 1296x968, and depth, 640x480, differ by 0.004
_NO_INSTANCES = "no instance-filt/ in the scan: all objects of a category are one"


def label_scan(
    path: Path,
    settings: LinearProbeSettings,
    *,
    label_table: Path | None = None,
    progress: Progress = ignore_progress,
) -> LabelledScene:
    """Read the labelled views of a scan.

    Objects are its instances; the class of one is that of most of its patches. Without instance images all objects of
    a raw category are one. Of two neighbours among the frames, the first is for training and the second for testing.

    Args:
        path: an exported ScanNet scan with `label-filt/`.
        settings: how many frames.
        label_table: `scannetv2-labels.combined.tsv`; looked for in and above `path` when not given.
        progress: called with views done and to come.

    Raises:
        DatasetError: no labels, a label that the table does not know, or a single frame.
    """
    scan = open_labelled_scan(path, label_table)
    wanted = settings.num_frames if settings.same_frames else 2 * settings.num_frames
    images = [scan.images[index] for index in spread_indices(len(scan.images), wanted)]
    if len(images) < 2 and not settings.same_frames:
        raise DatasetError(f"{path}: expected at least 2 labelled frames, to train and to test, got {len(images)}.")
    frames = _frames_with_depth(path, images)
    views, categories = [], []
    for done, image in enumerate(images, start=1):
        view, category_ids = _read_view(image, frames)
        views.append(view)
        categories.append(category_ids)
        progress(done, len(images))
    category_of = _categories_of_objects(views, categories)
    train = tuple(views if settings.same_frames else views[::2])
    return LabelledScene(
        name=scan.name,
        train=train,
        test=train if settings.same_frames else tuple(views[1::2]),
        train_name="the scan",
        test_name="the scan between these",
        stuff_names=SCAN_STUFF,
        stuff_of={item: _stuff_place(scan.class_names, number) for item, number in category_of.items()},
        notes=() if images[0].instance_path else (_NO_INSTANCES,),
    )


def _frames_with_depth(path: Path, images: Sequence[LabelledImage]) -> dict[str, RgbdFrame]:
    """Frames of a scan by name; none where it was exported without depth and cameras."""
    if not is_scannet_layout(path):
        return {}
    numbers = {int(image.color_path.stem) for image in images}
    return {item.name: item.frame for item in open_scannet_sequence(path, numbers=numbers)}


def _read_view(image: LabelledImage, frames: Mapping[str, RgbdFrame]) -> tuple[LabelledView, NDArray[np.int64]]:
    """A view, and the (N,) raw categories of its patches."""
    frame = frames.get(image.color_path.stem) or _color_frame(read_color(image.color_path))
    categories = _read_patch_labels(image.label_path, frame.rgb)
    objects = _read_patch_labels(image.instance_path, frame.rgb) if image.instance_path else categories
    is_known = (categories > 0) & (objects > 0)
    return LabelledView(frame=frame, object_ids=np.where(is_known, objects, UNLABELLED)), categories


def _color_frame(rgb: NDArray[np.uint8]) -> RgbdFrame:
    """An image whose camera nobody has written down, taken to see 53 deg across; without depth."""
    height, width = rgb.shape[:2]
    camera = CameraIntrinsics(fx=width, fy=width, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)
    return RgbdFrame(stamp_ns=0, rgb=rgb, depth=None, intrinsics=camera)


def _read_patch_labels(path: Path, rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) numbers of a label image at the patches; DatasetError when it shows another view than `rgb`."""
    labels = read_labels(path)
    if abs(labels.shape[1] * rgb.shape[0] / (labels.shape[0] * rgb.shape[1]) - 1) > _MAX_ASPECT_DIFFERENCE:
        raise DatasetError(
            f"{path}: expected labels of the aspect ratio of the colour image, {rgb.shape[1]}x{rgb.shape[0]}, got"
            f" {labels.shape[1]}x{labels.shape[0]}; are they of the same scan?"
        )
    return patch_labels(labels, rgb)


def _categories_of_objects(views: Sequence[LabelledView], categories: Sequence[NDArray[np.int64]]) -> dict[int, int]:
    """Object -> the raw category of most of its patches: at the borders the two kinds of images may differ."""
    pairs = np.stack([np.concatenate([view.object_ids for view in views]), np.concatenate(categories)], axis=1)
    found, counts = np.unique(pairs[pairs[:, 0] != UNLABELLED], axis=0, return_counts=True)
    # the last of equal keys stays, so the most frequent ones come last
    return dict(found[np.argsort(counts, kind="stable")].tolist())


def _stuff_place(class_names: dict[int, str], category: int) -> int:
    """Place of a raw category in `SCAN_STUFF`; DatasetError when the table lacks it."""
    if category not in class_names:
        raise DatasetError(
            f"label {category}: expected a row for it in {LABEL_TABLE}, got none; use the table of the labels' release."
        )
    name = class_names[category]
    return SCAN_STUFF.index(name) if name in SCAN_STUFF else len(SCAN_STUFF) - 1
