# SPDX-License-Identifier: Apache-2.0
"""Tests of published CrossOver checkpoints: made here with their names, loaded strictly; others are told apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from published_crossover import (
    CAD,
    CLOUD,
    TINY_BERT,
    TINY_CROSSOVER,
    TINY_I2P_MAE,
    TINY_INSTANCE,
    blip_tensors,
    crossover_tensors,
    instance_tensors,
    point_bind_tensors,
    write_accelerate,
)
from safetensors.torch import save_file

from xover_core.errors import ModelError
from xover_core.inference.crossover_checkpoint import (
    load_blip_text,
    load_crossover,
    load_i2p_mae,
    load_instance_baseline,
    load_instance_crossover,
)
from xover_core.networks.bert_text_encoder import BertTextEncoder
from xover_core.networks.crossover import CrossOver
from xover_core.networks.i2p_mae import I2pMae
from xover_core.networks.instance_encoder import BASELINE_SHAPE, InstanceEncoder
from xover_core.networks.sparse_quantization import quantize_points

TINY_BASELINE = dataclasses.replace(TINY_INSTANCE, located=(), attending=())


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def network() -> CrossOver:
    return CrossOver(TINY_CROSSOVER).eval()


@pytest.fixture(scope="module")
def scene_folder(network: CrossOver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "scene_crossover_scannet+scan3r.pth"
    return write_accelerate(folder, crossover_tensors(network))


def objects() -> tuple[dict, dict, dict]:
    features = {m: torch.randn(1, 3, dim) for m, dim in TINY_INSTANCE.feature_dims.items()}
    location = torch.randn(1, 3, 6)
    masks = {m: torch.tensor([[True, True, False]]) for m in features}
    return features, {CLOUD: location, CAD: location}, masks


def test_unified_model_computes_what_was_saved(network: CrossOver, scene_folder: Path) -> None:
    for path in (scene_folder, scene_folder / "model.safetensors"):
        loaded = load_crossover(path, TINY_CROSSOVER)
        assert not loaded.training
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
        inputs = objects()
        torch.testing.assert_close(loaded.embed_objects(*inputs)[1], network.embed_objects(*inputs)[1])
        cloud = quantize_points([torch.rand(50, 3)], [torch.rand(50, 3)], 0.02)
        torch.testing.assert_close(loaded.embed_clouds(cloud), network.embed_clouds(cloud))


def test_counters_of_batch_norm_may_be_missing(network: CrossOver, tmp_path: Path) -> None:
    tensors = crossover_tensors(network)
    without = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    assert len(without) < len(tensors)
    loaded = load_crossover(write_accelerate(tmp_path / "a.pth", without), TINY_CROSSOVER)
    assert loaded.state_dict().keys() == network.state_dict().keys()


def test_keys_of_the_true_unified_model() -> None:
    with torch.device("meta"):
        keys = set(crossover_tensors(CrossOver()))
    for key in (
        "objectwise_modality_encoder.modality_encoders.point.point_mlp.4.weight",
        "objectwise_modality_encoder.modality_encoders.cad.spatial_encoder.3.self_attn.lang_cond_fc.bias",
        "objectwise_modality_encoder.modality_encoders.cad.loc_layers.0.1.weight",
        "objectwise_modality_encoder.modality_projections.referral.2.bias",
        "objectwise_mlp_head.4.weight",
        "fusion.weight",
        "frame_mlp.mlp_layers.3.bias",
        "encoder3D.layer4.2.conv2.kernel",
        "encoder3D.layer1.0.downsample.0.kernel",
        "encoder3D.layer1.0.downsample.1.bn.running_var",
        "encoder3D.bn5.bn.bias",
    ):
        assert key in keys


def test_a_sentence_for_every_tensor_that_does_not_fit(network: CrossOver, tmp_path: Path) -> None:
    tensors = crossover_tensors(network)
    del tensors["fusion.weight"]
    tensors["encoder1D_mlp_head.0.bias"] = torch.zeros(3)
    tensors["encoder4D.weight"] = torch.zeros(1)
    with pytest.raises(ModelError) as caught:
        load_crossover(write_accelerate(tmp_path / "a.pth", tensors), TINY_CROSSOVER)
    lines = str(caught.value).splitlines()
    assert "a.pth: 3 of its tensors do not fit" in lines[0]
    assert {line.strip() for line in lines[1:]} == {
        "fusion.weight: missing, expected a tensor of shape (4, 1).",
        "encoder1D_mlp_head.0.bias: expected shape (6,), got (3,).",
        "encoder4D.weight: unexpected, the network has no such tensor (of shape (1,)).",
    }


def test_unneeded_tensors_are_named_in_the_log(scene_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="xover_core"):
        load_crossover(scene_folder, TINY_CROSSOVER)
    text = caplog.text
    assert "point.point_mlp.0.weight: not used, the published code never calls it" in text
    assert "cad.spatial_encoder.1.linear1.weight: not used, the published code switches its attention off" in text


def test_attention_of_cad_models_can_be_loaded(network: CrossOver, tmp_path: Path) -> None:
    tensors = instance_tensors(network.objectwise_modality_encoder)
    folder = write_accelerate(tmp_path / "instance_crossover_scannet.pth", tensors)
    attending = dataclasses.replace(TINY_INSTANCE, attending=(CLOUD, CAD))
    assert len(load_instance_crossover(folder, attending).modality_encoders["cad"].spatial_encoder) == 2
    assert len(load_instance_crossover(folder, TINY_INSTANCE).modality_encoders["cad"].spatial_encoder) == 0


def test_the_two_instance_models_are_told_apart(network: CrossOver, scene_folder: Path, tmp_path: Path) -> None:
    instance = network.objectwise_modality_encoder
    crossover = write_accelerate(tmp_path / "instance_crossover_scannet.pth", instance_tensors(instance))
    baseline = InstanceEncoder(TINY_BASELINE).eval()
    alone = write_accelerate(tmp_path / "instance_baseline_scannet.pth", dict(baseline.state_dict()))
    inputs = objects()
    for found, expected in (
        (load_instance_crossover(crossover, TINY_INSTANCE), instance),
        (load_instance_baseline(alone, TINY_BASELINE), baseline),
    ):
        for modality, value in expected(*inputs).items():
            torch.testing.assert_close(found(*inputs)[modality], value)
    with pytest.raises(ModelError, match=r"found heads only; it is an instance_baseline.* load_instance_baseline"):
        load_instance_crossover(alone, TINY_INSTANCE)
    with pytest.raises(ModelError, match=r"it is an instance_crossover.* load_instance_crossover"):
        load_instance_baseline(crossover, TINY_BASELINE)
    with pytest.raises(ModelError, match=r"expected a unified model .* found modality_encoders, modality_projections"):
        load_crossover(crossover, TINY_CROSSOVER)
    with pytest.raises(ModelError, match="is it a scene_crossover"):
        load_instance_crossover(scene_folder, TINY_INSTANCE)


def test_keys_of_the_true_baseline() -> None:
    with torch.device("meta"):
        state = InstanceEncoder(BASELINE_SHAPE).state_dict()
    assert tuple(state["modality_projections.rgb.0.weight"].shape) == (768, 1536)
    assert all(key.startswith("modality_projections.") for key in state)


def test_object_encoder_of_point_bind(tmp_path: Path) -> None:
    network = I2pMae(TINY_I2P_MAE).eval()
    tensors = point_bind_tensors(network)
    torch.save(tensors, tmp_path / "pointbind_i2pmae.pt")
    save_file(tensors, tmp_path / "pointbind_i2pmae.safetensors")
    points = torch.rand(1, 40, 3)
    for name in ("pointbind_i2pmae.pt", "pointbind_i2pmae.safetensors"):
        torch.testing.assert_close(load_i2p_mae(tmp_path / name, TINY_I2P_MAE)(points), network(points))
    torch.save({"bind.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"other\.pt: expected tensors point_encoder\.\*, found bind"):
        load_i2p_mae(tmp_path / "other.pt", TINY_I2P_MAE)


def test_text_encoder_of_blip(tmp_path: Path) -> None:
    network = BertTextEncoder(TINY_BERT).eval()
    tensors = blip_tensors(network)
    torch.save({"model": tensors, "epoch": 19}, tmp_path / "model_large.pth")
    save_file(tensors, tmp_path / "model_large.safetensors")
    ids, mask = torch.randint(1, 40, (2, 7)), torch.ones(2, 7, dtype=torch.bool)
    for name in ("model_large.pth", "model_large.safetensors"):
        torch.testing.assert_close(load_blip_text(tmp_path / name, TINY_BERT)(ids, mask), network(ids, mask))
    tensors["text_encoder.embeddings.word_embeddings.weight"] = torch.zeros(30, 12)
    torch.save({"model": tensors}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"embeddings\.word_embeddings\.weight: expected shape \(40, 12\), got \(30"):
        load_blip_text(tmp_path / "other.pth", TINY_BERT)


class Dangerous:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"model": {}, "config": Dangerous(tmp_path / "trace")}, tmp_path / "model_large.pth")
    for load in (load_blip_text, load_i2p_mae):
        with pytest.raises(ModelError, match="run code"):
            load(tmp_path / "model_large.pth")
    assert not (tmp_path / "trace").exists()


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    for load in (load_crossover, load_instance_crossover, load_instance_baseline, load_blip_text, load_i2p_mae):
        with pytest.raises(ModelError, match=r"nothing\.pth.*cannot be read"):
            load(tmp_path / "nothing.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(ModelError, match=r"text\.pth"):
        load_crossover(tmp_path / "text.pth")
