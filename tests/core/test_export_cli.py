# SPDX-License-Identifier: Apache-2.0
"""`xover export`: files, the table, what is installed, and what is refused before minutes have passed."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import onnx
import pytest
import torch
from export_cases import make_graph

from xover_core.cli.main import EXIT_ERROR, main
from xover_core.config import EncoderSettings
from xover_core.datasets.bag_writer import write_bag
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.encoders.calibration_inputs import calibration_inputs
from xover_core.encoders.factory import make_encoder
from xover_core.errors import ConfigError
from xover_core.inference import model_graphs
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, load_export
from xover_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(fx=80.0, fy=80.0, cx=79.5, cy=59.5, width=160, height=120)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A model `tiny` with two networks, and an empty folder of models."""
    monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path / "models"))

    def tiny_graphs(name, size=None):
        if name != "tiny":
            return graphs_of(name, size)
        graph = make_graph(size)
        return graph, dataclasses.replace(graph, name="tiny.others")

    monkeypatch.setattr(model_graphs, "graphs_of", tiny_graphs)
    return tmp_path


@pytest.fixture(scope="module")
def walk():
    return ApartmentWalk(make_apartment(seed=2, num_rooms=1), num_frames=3, rate_hz=2.0, intrinsics=CAMERA)


def rows_of(output):
    """Cells of the printed table by its first line."""
    lines = [line.split("  ") for line in output.strip().splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def test_each_network_in_each_precision_is_a_file_and_a_row(tiny, capsys):
    out = tiny / "new" / "files"
    assert main(["export", "tiny", "--precision", "fp32", "--precision", "fp16", "--output", str(out)]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [(row["network"], row["precision"]) for row in rows] == [
        ("tiny.tokens", "fp32"), ("tiny.tokens", "fp16"), ("tiny.others", "fp32"), ("tiny.others", "fp16"),
    ]  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"tiny.{part}{precision}.onnx" for part in ("tokens", "others") for precision in ("", ".fp16")
    )
    for row in rows:
        assert float(row["time of torch's"]) > 0
        assert row["tolerance"] == ("0.0001" if row["precision"] == "fp32" else "-")
        assert 0 < float(row["largest difference"]) < 1e-2


def test_one_part_of_one_size(tiny, capsys):
    assert main(["export", "tiny", "--part", "others", "--size", "16x24", "--output", str(tiny)]) == 0
    assert [row["network"] for row in rows_of(capsys.readouterr().out)] == ["tiny.others"]
    shape = onnx.load(tiny / "tiny.others.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in shape] == ["batch", 3, 16, 24]


def test_what_is_installed_is_found(tiny, capsys):
    assert main(["export", "tiny", "--part", "tokens", "--precision", "int8", "--install"]) == 0
    exported = load_export("tiny.tokens", "int8")
    assert exported is not None
    assert onnx.load_from_string(exported).metadata_props[0].value == "tiny.tokens"
    assert load_export("tiny.tokens", "fp32") is None


def test_int8_is_calibrated_by_frames(tiny, walk, capsys):
    write_bag(tiny / "bag", walk)
    arguments = ["--precision", "int8", "--calibrate", str(tiny / "bag"), "--calibration-frames", "2"]
    assert main(["export", "tiny", "--part", "tokens", *arguments, "--output", str(tiny)]) == 0
    assert rows_of(capsys.readouterr().out)[0]["precision"] == "int8, calibrated"
    kinds = {node.op_type for node in onnx.load(tiny / "tiny.tokens.int8.onnx").graph.node}
    assert "QuantizeLinear" in kinds
    assert "DynamicQuantizeLinear" not in kinds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny", "--part", "nothing"], "--part nothing: no network of tiny that can be exported is called so"),
        (["tiny", "--calibrate", "x"], "--calibrate: it is for int8"),
        (["tiny", "--install", "--size", "16x24"], "files take pictures of any size"),
        (["tiny", "--models-dir", "x"], "--models-dir: it is for --install"),
        (["tiny", "--size", "17x24"], "expected sides that are multiples of 4 px"),
        (["dino-vits8-locus", "--install"], "has random weights here"),
        (["crossover-light", "--part", "cloud"], "there are: views, scene"),
        (["rootsift-pca64"], "which is no network"),
        (["nobody"], "not in any manifest"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(tiny, capsys, arguments, message):
    assert main(["export", *arguments]) == EXIT_ERROR
    assert message in capsys.readouterr().err


def test_missing_libraries_are_named(tiny, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", "tiny", "--output", str(tiny)]) == EXIT_ERROR
    assert (
        "exporting to ONNX needs onnxscript, which is not installed; pip install 'xover[onnx]'"
        in capsys.readouterr().err
    )


def test_calibration_inputs_are_what_the_encoder_gives_its_network(walk):
    (graph,) = graphs_of("locus-compact")
    frames = [item.frame for item in walk]
    inputs = list(calibration_inputs(graph, frames, 96))
    encoder = make_encoder(EncoderSettings(model="locus-compact", image_height=96, radius=0.2))
    module = graph.module()
    for one, frame in zip(inputs, frames, strict=True):
        with torch.inference_mode():
            outputs = module(*(torch.from_numpy(one[spec.name]) for spec in graph.inputs))
        expected = encoder.encode(frame).finest
        np.testing.assert_allclose(outputs[1][0].numpy(), expected, atol=graph.tolerance)


def test_calibration_inputs_have_the_size_that_is_fixed(walk):
    (graph,) = graphs_of("locus-compact", (64, 80))
    (inputs,) = calibration_inputs(graph, [next(iter(walk)).frame], 240)
    assert {name: array.shape for name, array in inputs.items()} == {
        "image": (1, 3, 64, 80), "depth": (1, 64, 80), "intrinsics": (1, 4),
    }  # fmt: skip
    (picture,) = calibration_inputs(make_graph(), [next(iter(walk)).frame], 96)
    assert picture["image"].shape == (1, 3, 12 * 4, 16 * 4)
    assert 0 <= picture["image"].min() < picture["image"].max() <= 1


def test_networks_of_no_frames_are_not_calibrated(walk):
    graph = next(graph for graph in graphs_of("crossover-light") if graph.name.endswith(".text"))
    with pytest.raises(ConfigError, match=r"crossover-light\.text takes words; leave the frames out"):
        calibration_inputs(graph, [], 240)
