# SPDX-License-Identifier: Apache-2.0
"""The labels of a ScanNet scan: `label-filt/0.png` (what), `instance-filt/0.png` (which), and the table of categories.

Label images hold raw category numbers (16 bit), instance images the number of an object within the scan (8 bit); 0 is
nothing known in both. `scannetv2-labels.combined.tsv` says which of NYU's 40 classes a raw category belongs to.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from xover_core.datasets.image_files import index_images
from xover_core.datasets.scannet_sequence import COLOR_FOLDER, COLOR_SUFFIXES
from xover_core.errors import DatasetError

LABEL_TABLE = "scannetv2-labels.combined.tsv"
LABEL_FOLDER, INSTANCE_FOLDER = "label-filt", "instance-filt"
_ID_COLUMN, _CLASS_COLUMN = "id", "nyu40class"
_NUM_PARENTS = 3  # the table lies beside `scans/`


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """The files of one frame; `instance_path` is None in a scan without instance images."""

    color_path: Path
    label_path: Path
    instance_path: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScan:
    """A scan with labels.

    Attributes:
        name: of the scan.
        images: in order of their number, those that have colour and all kinds of labels that the scan has.
        class_names: raw category number -> name of the NYU-40 class.
    """

    name: str
    images: tuple[LabelledImage, ...]
    class_names: dict[int, str]


def open_labelled_scan(path: Path, label_table: Path | None = None) -> LabelledScan:
    """Find the labelled images of a scan.

    Args:
        path: an exported scan with `label-filt/` and, so that objects of one kind can be told apart, `instance-filt/`.
        label_table: `scannetv2-labels.combined.tsv`; when not given, it is looked for in `path` and three folders up.

    Raises:
        DatasetError: no colour images, labels or table, or nothing in common to them.
    """
    if not (path / COLOR_FOLDER).is_dir() or not (path / LABEL_FOLDER).is_dir():
        raise DatasetError(
            f"{path}: expected a ScanNet scan with {COLOR_FOLDER}/ and {LABEL_FOLDER}/; export its .sens file with"
            " SensReader and unpack <scan>_2d-label-filt.zip and <scan>_2d-instance-filt.zip there."
        )
    colors = index_images(path / COLOR_FOLDER, COLOR_SUFFIXES)
    labels = index_images(path / LABEL_FOLDER, (".png",))
    has_instances = (path / INSTANCE_FOLDER).is_dir()
    instances = index_images(path / INSTANCE_FOLDER, (".png",)) if has_instances else {}
    images = tuple(
        LabelledImage(color_path=color, label_path=labels[index], instance_path=instances.get(index))
        for index, color in colors.items()
        if index in labels and (index in instances or not has_instances)
    )
    if not images:
        raise DatasetError(f"{path}: expected images of one number in {COLOR_FOLDER}/ and the label folders, got none.")
    table = label_table or _find_table(path)
    return LabelledScan(name=path.resolve().name, images=images, class_names=read_label_table(table))


def read_label_table(path: Path) -> dict[int, str]:
    """Raw category number -> name of the NYU-40 class, from the tab-separated table.

    Raises:
        DatasetError: a missing file, or one without these two columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            return {int(row[_ID_COLUMN]): row[_CLASS_COLUMN] for row in rows}
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); it is part of ScanNet's release.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path}: expected a tab-separated table with the columns {_ID_COLUMN} (a number) and {_CLASS_COLUMN}, as"
            f" {LABEL_TABLE} of ScanNet's second version."
        ) from error


def _find_table(path: Path) -> Path:
    """The table in a folder or above it, or DatasetError."""
    folders = (path.resolve(), *path.resolve().parents[:_NUM_PARENTS])
    for folder in folders:
        if (folder / LABEL_TABLE).is_file():
            return folder / LABEL_TABLE
    raise DatasetError(
        f"{path}: expected {LABEL_TABLE} there or up to {_NUM_PARENTS} folders above, found none; it is part of"
        " ScanNet's release, name it."
    )
