# SPDX-License-Identifier: Apache-2.0
"""Graphs of models: what they say of themselves, and the files of them that are shipped."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from xover_core.errors import ConfigError, ModelError
from xover_core.inference import crossover_graphs
from xover_core.inference.architecture_graphs import (
    ARCHITECTURES,
    has_random_weights,
    random_checksum,
    random_locus_graph,
)
from xover_core.inference.crossover_graphs import make_image_graph, make_text_graph
from xover_core.inference.light_graphs import LightSizes, make_light_graphs
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import load_export, model_entry, model_folders
from xover_core.inference.onnx_export import export_graph
from xover_core.inference.onnx_parity import check_parity, largest_differences, torch_outputs
from xover_core.networks.bert_text_encoder import BertShape, BertTextEncoder
from xover_core.networks.light_crossover import LightCrossover, LightShape, ObjectTensors
from xover_core.networks.vit_backbone import VitBackbone, VitShape
from xover_core.types import SceneModality

COMPACT, LIGHT = "locus-compact", "crossover-light"
VIT_SHAPES = {
    name: VitShape(family=family, width=16, num_heads=2, patch_size=8, trained_size=40, num_blocks=1, use_swiglu=gated)
    for name, family, gated in (("dino", "dino", False), ("dinov2", "dinov2", False), ("giant", "dinov2", True))
}
# float32 sums in another order, of numbers about 1
SAME = 1e-5


def shipped_exports():
    manifest = yaml.safe_load((model_folders()[-1] / "manifest.yaml").read_text())
    return sorted(manifest["exports"])


def run_onnx(data):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(data)
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def graph_of(name):
    model = name if name in {"locus-compact"} else name.rpartition(".")[0]
    return next(graph for graph in graphs_of(model) if graph.name == name)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("key", shipped_exports())
def test_a_shipped_export_is_of_the_shipped_weights(key):
    name, _, precision = key.rpartition("/")
    graph, data = graph_of(name), load_export(name, precision)
    assert data is not None
    if precision == "fp32":
        check_parity(graph, run_onnx(data))
    else:
        assert max(largest_differences(graph, run_onnx(data)).values()) < np.inf


def test_an_export_of_other_weights_is_noticed():
    graph, run = graphs_of(COMPACT)[0], run_onnx(load_export(COMPACT, "fp32"))
    other = graph.module()
    torch.nn.init.normal_(other.network.base_heads[0].weight)
    with pytest.raises(ModelError, match=r"network locus-compact: expected features_0\.05m within 0\.001 of torch"):
        check_parity(graph, run, other)


def test_the_compact_encoder_says_what_it_takes_and_gives():
    (graph,) = graphs_of(COMPACT)
    assert graph.name == COMPACT
    assert graph.weights_sha256 == model_entry(COMPACT).sha256
    assert {spec.name: spec.shape for spec in graph.inputs} == {
        "image": ("batch", 3, "8*rows", "8*cols"),
        "depth": ("batch", "8*rows", "8*cols"),
        "intrinsics": ("batch", 4),
    }
    assert [spec.name for spec in graph.outputs] == [f"features_{r:g}m" for r in model_entry(COMPACT).radii]
    assert {spec.shape for spec in graph.outputs} == {("batch", "rows*cols", 128)}


def test_a_size_is_fixed_when_it_is_given():
    (graph,) = graphs_of(COMPACT, (120, 160))
    assert graph.inputs[0].shape == ("batch", 3, 120, 160)
    assert graph.outputs[0].shape == ("batch", 300, 128)
    assert set(graph.axes) == {"batch"}
    with pytest.raises(ConfigError, match=r"multiples of 8 px from 32 to 4096, got 120x161"):
        graphs_of(COMPACT, (120, 161))


def test_torch_is_not_needed_to_know_a_graph():
    code = "from xover_core.inference.model_graphs import graphs_of; import sys; graphs_of('locus-compact')"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


def test_what_is_no_network_is_refused():
    with pytest.raises(ModelError, match="of kind 'rootsift', which is no network"):
        graphs_of("rootsift-pca64")
    with pytest.raises(ModelError, match="not in any manifest"):
        graphs_of("nobody")


def test_locus_heads_on_transformers_are_exported(tmp_path):
    # one of them: each takes seconds
    graph = random_locus_graph("dinov2", VIT_SHAPES["dinov2"])
    report = export_graph(graph, tmp_path / "x.onnx")
    assert report.differences.keys() == {"features_0.2m", "features_0.6m"}
    # other sizes and numbers of pictures than those of the examples
    batch, rows, cols = 3, 7, 5
    image = np.random.default_rng(1).random((batch, 3, 8 * rows, 8 * cols), dtype=np.float32)
    outputs = run_onnx(report.path.read_bytes())({"image": image})
    with torch.inference_mode():
        expected = graph.module()(torch.from_numpy(image))
    for found, values in zip(outputs.values(), expected, strict=True):
        assert found.shape == (batch, rows * cols, 64)
        np.testing.assert_allclose(found, values.numpy(), atol=SAME)
        np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, atol=SAME)


def test_random_weights_are_the_same_each_time():
    graph = random_locus_graph("dino", VIT_SHAPES["dino"])
    torch.manual_seed(1)
    before = torch.rand(3)
    torch.manual_seed(1)
    first, again = graph.module(), graph.module()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert torch.equal(torch.rand(3), before)
    assert has_random_weights(graph)
    assert not has_random_weights(graphs_of(COMPACT)[0])


def test_crossover_encoder_of_pictures_gives_class_token_and_mean():
    shape = VIT_SHAPES["giant"]
    torch.manual_seed(0)
    backbone = VitBackbone(shape)
    graph = make_image_graph(lambda: backbone, shape, name="2d", weights_sha256="ab")
    inputs, expected = next(torch_outputs(graph, graph.module()))
    values = backbone.values(torch.from_numpy(inputs["image"]))
    np.testing.assert_allclose(expected["class_token"], values[:, 0], atol=SAME)
    np.testing.assert_allclose(expected["patch_mean"], values[:, 1:].mean(1), atol=SAME)


def test_crossover_encoder_of_texts_is_exported(tmp_path):
    shape = BertShape(vocabulary_size=50, width=16, num_layers=1, num_heads=2, feedforward=32, max_tokens=40)
    torch.manual_seed(0)
    encoder = BertTextEncoder(shape).eval()
    graph = make_text_graph(lambda: encoder, shape, name="text", weights_sha256="ab")
    report = export_graph(graph, tmp_path / "x.onnx")
    assert max(report.differences.values()) < SAME
    ids, mask = np.array([[3, 7, 9, 0]]), np.array([[True, True, True, False]])
    found = run_onnx(report.path.read_bytes())({"ids": ids, "mask": mask})["features"]
    with torch.inference_mode():
        np.testing.assert_allclose(found, encoder(torch.tensor(ids), torch.tensor(mask)), atol=SAME)


def test_published_files_are_taken_where_they_are(tmp_path, monkeypatch):
    file = tmp_path / "text.pth"
    file.write_bytes(b"weights")
    monkeypatch.setattr(crossover_graphs, "find_published", lambda _: file)
    graph = graphs_of("crossover-text")[0]
    assert not has_random_weights(graph)
    with pytest.raises(ModelError, match=r"text\.pth"):
        graph.module()


def test_without_published_files_weights_are_random(monkeypatch, tmp_path):
    monkeypatch.setenv("XOVER_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ARCHITECTURES:
        (graph,) = graphs_of(name)
        assert graph.name == name
        assert graph.weights_sha256 == random_checksum(name)
    assert graphs_of("dino-vitb8-locus", (256, 320))[0].outputs[0].shape == ("batch", 1280, 64)
    with pytest.raises(ConfigError, match="takes no pictures"):
        graphs_of("crossover-text", (64, 64))


@pytest.fixture(scope="module")
def light():
    """A small light CrossOver, its graphs by part, and what it is made of."""
    torch.manual_seed(0)
    shape = LightShape(
        token_dim=9, num_tokens=6, voxel_dim=4, point_dim=6, color_dim=11, layout_dim=13, view_dim=16, out_dim=400
    )
    model = LightCrossover(shape).eval()
    model.views.set_statistics(torch.zeros(9), torch.ones(9))
    sizes = LightSizes(
        token_dim=9, num_tokens=6, point_dim=6, color_dim=11, layout_dim=13, view_dim=16, out_dim=400,
        num_buckets=8192, max_words=96,
    )  # fmt: skip
    graphs = make_light_graphs(lambda: model, name="small", sizes=sizes, weights_sha256="ab")
    return model, {graph.name.removeprefix("small."): graph for graph in graphs}


@pytest.mark.parametrize("part", ["floorplan", "objects-points", "objects-text"])
def test_parts_of_the_light_crossover_are_exported(tmp_path, light, part):
    report = export_graph(light[1][part], tmp_path / "x.onnx")
    assert max(report.differences.values()) < SAME
    # a loop over words took ten times as long
    assert b"Loop" not in report.path.read_bytes()


def test_parts_of_the_light_crossover_are_those_of_the_whole(light):
    model, graphs = light
    random = np.random.default_rng(0)
    views = torch.from_numpy(random.random((5, 27), dtype=np.float32))
    layout = torch.from_numpy(random.random((1, 13), dtype=np.float32))
    scenes = torch.zeros(5, dtype=torch.int64)
    with torch.inference_mode():
        posed = model.embed_views(views, scenes, 1, layout)
        torch.testing.assert_close(graphs["posed-scene"].module()(views[None], layout)[0], posed)
        torch.testing.assert_close(graphs["scene"].module()(views[None])[0], model.embed_views(views, scenes, 1))


@pytest.mark.parametrize(
    ("part", "modality"),
    [
        ("objects-points", SceneModality.POINT_CLOUD),
        ("objects-cad", SceneModality.CAD),
        ("objects-crops", SceneModality.IMAGE),
        ("objects-text", SceneModality.TEXT),
    ],
)
def test_objects_are_embedded_as_by_the_whole(light, part, modality):
    model, graphs = light
    inputs = next(graphs[part].examples())
    values, locations = (torch.from_numpy(inputs[spec.name]) for spec in graphs[part].inputs)
    count = len(locations)
    tensors = {
        "points": torch.zeros(0, 128, 6),
        "cad_points": torch.zeros(0, 128, 6),
        "crops": torch.zeros(0, 3, 32, 32),
        "words": torch.zeros(0, 1, 1, dtype=torch.int64),
    }
    field = {"objects-points": "points", "objects-cad": "cad_points", "objects-crops": "crops", "objects-text": "words"}
    masks = {m: torch.full((1, count), m is modality) for m in model.objects.shape.feature_dims}
    objects = ObjectTensors(**{**tensors, field[part]: values}, locations=locations[None], masks=masks)
    with torch.inference_mode():
        embedded = model.embed_objects(objects)
        rows, scene = graphs[part].module()(values, locations)
        torch.testing.assert_close(rows, embedded[modality][0])
        torch.testing.assert_close(scene, model.fuse_objects(embedded, masks)[0])


def test_the_light_crossover_has_no_graph_of_clouds():
    names = {graph.name for graph in graphs_of(LIGHT)}
    assert names == {f"{LIGHT}.{part}" for part in (
        "views", "scene", "posed-scene", "floorplan", "text", "objects-points", "objects-cad", "objects-crops",
        "objects-text",
    )}  # fmt: skip
    with pytest.raises(ConfigError, match="take no pictures of a given size"):
        graphs_of(LIGHT, (64, 64))
