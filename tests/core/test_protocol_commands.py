# SPDX-License-Identifier: Apache-2.0
"""`xover protocol ...` on a short drive through a procedural apartment: tables, JSON, figures, repeatability."""

from __future__ import annotations

import json

import cv2
import pytest
from made_up_scans import make_labelled_scan, write_label_table

from xover_core.cli.main import main
from xover_core.datasets.bag_writer import write_bag
from xover_core.datasets.open_sequence import open_sequence
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.evaluation.protocols import feature_choice
from xover_core.evaluation.protocols.pair_errors import NO_MOTION
from xover_core.evaluation.protocols.protocol_settings import RelativePoseSettings
from xover_core.evaluation.protocols.relative_pose import measure_relative_pose
from xover_core.evaluation.protocols.view_matchers import SiftMatcher
from xover_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(fx=80.0, fy=80.0, cx=79.5, cy=59.5, width=160, height=120)
# A picture with content has grey values that differ by more than this.
MIN_CONTRAST = 10


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    path = tmp_path_factory.mktemp("drive") / "bag"
    write_bag(path, ApartmentWalk(make_apartment(seed=2, num_rooms=2), num_frames=12, rate_hz=2.0, intrinsics=CAMERA))
    return path


@pytest.fixture
def small_sift(monkeypatch):
    """OpenCV's SIFT takes seconds at the large sizes; what they are does not matter here."""
    monkeypatch.setattr(feature_choice, "THREE_SIZES_PX", (3.0, 4.0, 5.0))
    monkeypatch.setattr(feature_choice, "ONE_SIZE_PX", 4.0)


def run(tmp_path, *arguments):
    """Rows of the JSON file; the figure must show something."""
    json_path, figure_path = tmp_path / "new" / "out.json", tmp_path / "new" / "out.png"
    assert main(["protocol", *map(str, arguments), "--json", str(json_path), "--figure", str(figure_path)]) == 0
    assert cv2.imread(str(figure_path)).std() > MIN_CONTRAST
    return json.loads(json_path.read_text())["rows"]


def test_patch_retrieval(drive, tmp_path, capsys, small_sift):
    sizes = ("--num-batches", 1, "--batch-size", 4, "--num-queries", 20, "--universes", 2)
    rows = {row["feature"]: row for row in run(tmp_path, "patch-retrieval", drive, *sizes)}
    assert "the measured recording itself" in capsys.readouterr().out
    assert rows.keys() >= {"chance", "raw-16px", "rootsift-16px", "rootsift-10-20-40px-pca64", "rootsift-pca64"}
    assert rows["rootsift-pca64"]["dim"] == 64
    for name, row in rows.items():
        assert name == "chance" or row["other_frames_vap"] > rows["chance"]["other_frames_vap"]


def test_relative_pose(drive, tmp_path, capsys):
    rows = run(tmp_path, "relative-pose", drive, "--num-pairs", 8, "--max-overlap", 0.9)
    assert {row["feature"] for row in rows} >= {NO_MOTION, "sift", "orb", "rootsift-pca64"}
    assert "3D-3D" in capsys.readouterr().out


def test_relative_pose_repeats(drive):
    settings = RelativePoseSettings(num_pairs=8, max_overlap=0.9)
    runs = [measure_relative_pose(open_sequence(drive), [SiftMatcher()], settings) for _ in range(2)]
    first, second = ([(r.median_m, r.mean_deg, r.no_answer) for r in done.report.rows] for done in runs)
    assert first == second


def test_linear_probe(tmp_path, capsys, small_sift):
    options = ("--apartment", 2, "--num-rooms", 1, "--num-frames", 4, "--max-iterations", 20)
    rows = {(r["feature"], r["task"]): r for r in run(tmp_path, "linear-probe", *options)}
    assert "tested on walk 1, 4 frames" in capsys.readouterr().out
    for task in ("things", "stuff"):
        assert rows["rootsift-pca64", task]["miou"] > rows["most frequent", task]["miou"]


def test_linear_probe_on_a_scan(tmp_path, capsys, small_sift):
    scan = make_labelled_scan(tmp_path / "scene0000_00")
    table = write_label_table(tmp_path / "table.tsv")
    options = (scan, "--label-table", table, "--num-frames", 3, "--max-iterations", 20)
    rows = run(tmp_path, "linear-probe", *options)
    assert "linear probe on scene0000_00: trained on the scan, 3 frames" in capsys.readouterr().out
    assert {row["task"] for row in rows} == {"things", "stuff"}
    assert {row["feature"] for row in rows} >= {"most frequent", "raw-16px", "rootsift-pca64"}
    assert main(["protocol", "linear-probe", str(tmp_path)]) == 2
    assert "expected a ScanNet scan" in capsys.readouterr().err


def test_linear_probe_needs_a_place(capsys):
    with pytest.raises(SystemExit):
        main(["protocol", "linear-probe"])
    assert "one of the arguments SEQUENCE_DIR --apartment is required" in capsys.readouterr().err


def test_a_recording_that_is_not_there(tmp_path, capsys):
    assert main(["protocol", "patch-retrieval", str(tmp_path / "nothing")]) == 2
    assert "no recording there" in capsys.readouterr().err
