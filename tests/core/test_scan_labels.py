# SPDX-License-Identifier: Apache-2.0
"""Labels of a ScanNet scan: files, table, objects and their classes, and the linear probe on them."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
from made_up_scans import LABEL_COLORS, make_labelled_scan, write_image, write_label_table

from xover_core.datasets.scannet_labels import open_labelled_scan, read_label_table
from xover_core.errors import DatasetError
from xover_core.evaluation.protocols.labelled_patches import UNLABELLED
from xover_core.evaluation.protocols.linear_probe import make_task, measure_linear_probe
from xover_core.evaluation.protocols.patch_sources import PatchFeature, unit_rows
from xover_core.evaluation.protocols.protocol_settings import LinearProbeSettings
from xover_core.evaluation.protocols.scan_labels import SCAN_STUFF, label_scan

TABLE_NAME = "scannetv2-labels.combined.tsv"
# Colours of neighbouring patches never mix here, and the noise is far below their distance.
NEARLY_ALL = 0.99


@pytest.fixture
def scan(tmp_path):
    write_label_table(tmp_path / TABLE_NAME)
    return make_labelled_scan(tmp_path / "scans" / "scene0000_00")


def names_of(scene):
    return {item: SCAN_STUFF[place] for item, place in scene.stuff_of.items()}


def test_objects_are_instances_and_stuff_is_by_nyu_class(scan):
    scene = label_scan(scan, LinearProbeSettings())
    assert scene.name == "scene0000_00"
    assert names_of(scene) == {1: "floor", 2: "wall", 3: "wall", 4: "objects", 5: "objects", 6: "objects"}
    assert not scene.notes


def test_labels_belong_to_the_colours_of_their_patches(scan):
    for view in label_scan(scan, LinearProbeSettings()).train:
        patches = view.frame.rgb.reshape(30, 8, 40, 8, 3).mean(axis=(1, 3)).reshape(-1, 3)
        for item, color in LABEL_COLORS.items():
            assert np.abs(patches[view.object_ids == item] - color).max() < 5
        unlabelled = (view.object_ids == UNLABELLED).reshape(30, 40)
        assert unlabelled[:, :5].all()
        assert not unlabelled[:, 5:].any()


def test_frames_are_taken_in_turns(scan):
    scene = label_scan(scan, LinearProbeSettings())
    images = [cv2.imread(str(scan / "color" / f"{number}.png"))[:, :, ::-1] for number in range(6)]
    for views, numbers in ((scene.train, (0, 2, 4)), (scene.test, (1, 3, 5))):
        assert len(views) == len(numbers)
        for view, number in zip(views, numbers, strict=True):
            np.testing.assert_array_equal(view.frame.rgb, images[number])
    assert [len(views) for views in (label_scan(scan, LinearProbeSettings(num_frames=1)).train,)] == [1]
    same = label_scan(scan, LinearProbeSettings(same_frames=True))
    assert same.test is same.train
    assert len(same.train) == 6


def test_without_instances_a_category_is_one_object(scan):
    shutil.rmtree(scan / "instance-filt")
    scene = label_scan(scan, LinearProbeSettings())
    assert names_of(scene) == {3: "floor", 1: "wall", 2: "objects", 1163: "objects"}
    assert "all objects of a category are one" in scene.notes[0]


def test_an_object_is_what_most_of_its_patches_are(scan):
    label = cv2.imread(str(scan / "label-filt" / "0.png"), cv2.IMREAD_UNCHANGED)
    label[label > 0] = 3  # one frame says that all is floor
    write_image(scan / "label-filt" / "0.png", label)
    assert names_of(label_scan(scan, LinearProbeSettings()))[2] == "wall"


def test_frames_that_lack_something_are_left_out(scan):
    (scan / "label-filt" / "1.png").unlink()
    (scan / "instance-filt" / "3.png").unlink()
    (scan / "color" / "5.png").unlink()
    found = open_labelled_scan(scan)
    assert [image.color_path.stem for image in found.images] == ["0", "2", "4"]


class ColorSource:
    """Mean colour of each patch."""

    def describe(self, frame):
        return unit_rows(frame.rgb.reshape(30, 8, 40, 8, 3).mean(axis=(1, 3)).reshape(-1, 3))


def test_the_probe_tells_objects_by_their_colour(scan):
    task = make_task(label_scan(scan, LinearProbeSettings()), 10)
    done = measure_linear_probe(task, [PatchFeature(name="color", source=ColorSource())], LinearProbeSettings())
    rows = {(row.feature, row.task): row for row in done.report.rows}
    for name, classes in (("things", 3), ("stuff", 3)):
        assert rows["color", name].miou > NEARLY_ALL
        assert rows["color", name].classes == classes
        assert rows["most frequent", name].miou < 0.4
    assert done.report.facts["share_of_test_patches"] == pytest.approx(35 / 40)
    assert "tested on the scan between these, 3 frames" in done.report.title


def cut_labels(path):
    write_image(path / "label-filt" / "2.png", np.ones((240, 240), np.uint16))


def save_labels_in_colour(path):
    write_image(path / "label-filt" / "2.png", np.ones((120, 160, 3), np.uint8))


def rename_column(path):
    table = path.parents[1] / TABLE_NAME
    table.write_text(table.read_text().replace("nyu40class", "eigen13class"))


def forget_category(path):
    table = path.parents[1] / TABLE_NAME
    table.write_text(table.read_text().replace("1163\t", "1164\t"))


def keep_one_frame(path):
    for number in range(1, 6):
        (path / "color" / f"{number}.png").unlink()


BROKEN = {
    "no labels": (lambda p: shutil.rmtree(p / "label-filt"), r"expected a ScanNet scan .*unpack .*label-filt\.zip"),
    "no table": (lambda p: (p.parents[1] / TABLE_NAME).unlink(), "up to 3 folders above, found none"),
    "another table": (rename_column, "columns id .a number. and nyu40class"),
    "unknown category": (forget_category, "label 1163: expected a row"),
    "another view": (cut_labels, "aspect ratio of the colour image, 320x240, got 240x240"),
    "coloured labels": (save_labels_in_colour, "one channel of 8 or 16 bits"),
    "one frame": (keep_one_frame, "at least 2 labelled frames"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_scans_are_one_sentence(scan, case):
    damage, text = BROKEN[case]
    damage(scan)
    with pytest.raises(DatasetError, match=text) as caught:
        label_scan(scan, LinearProbeSettings())
    assert "\n" not in str(caught.value)


def test_the_table_can_be_named(scan, tmp_path):
    elsewhere = tmp_path / "elsewhere.tsv"
    (tmp_path / TABLE_NAME).rename(elsewhere)
    assert len(label_scan(scan, LinearProbeSettings(), label_table=elsewhere).stuff_of) == 6
    assert read_label_table(elsewhere)[1163] == "otherprop"
    with pytest.raises(DatasetError, match="part of ScanNet's release"):
        read_label_table(tmp_path / "nowhere.tsv")
