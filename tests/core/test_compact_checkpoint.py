# SPDX-License-Identifier: Apache-2.0
"""Files of the compact encoder: what is saved is what is loaded, and what does not fit is named."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from xover_core.errors import ModelError
from xover_core.inference.compact_checkpoint import FORMAT, load_compact, save_compact
from xover_core.networks.compact_encoder import CompactEncoder

METADATA = {"format": FORMAT, "radii": "[0.2, 0.6]"}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    small = CompactEncoder((0.2, 0.6), gradient_dim=24, other_dim=5, width=12, num_blocks=1, feature_dim=16)
    return small.eval()


@pytest.fixture
def file(network, tmp_path):
    save_compact(network, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_every_size_comes_back(network, file):
    for loaded in (load_compact(file), load_compact(file.read_bytes(), "small")):
        assert loaded.radii == (0.2, 0.6)
        assert loaded.feature_dim == 16
        assert not loaded.training
        assert loaded.state_dict().keys() == network.state_dict().keys()
        for name, tensor in loaded.state_dict().items():
            assert torch.equal(tensor, network.state_dict()[name])


def test_a_network_without_blocks_comes_back(tmp_path):
    save_compact(CompactEncoder((0.3,), num_blocks=0), tmp_path / "flat.safetensors")
    assert len(load_compact(tmp_path / "flat.safetensors").blocks) == 0


def test_the_file_says_what_it_is(file):
    with safe_open(file, "pt") as opened:
        assert opened.metadata()["format"] == FORMAT
        assert json.loads(opened.metadata()["radii"]) == [0.2, 0.6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("gradients.weight"), r"gradients\.weight: missing, expected a tensor of shape"),
        (lambda state: state.pop("norm.bias"), r"norm\.bias: missing"),
        (lambda state: state.update(more=torch.zeros(2)), r"more: unexpected, the network has no such tensor"),
        (
            lambda state: state.update({"enter.weight": torch.zeros(3, 3)}),
            r"enter\.weight: expected shape \(12, 29\), got \(3, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(network, tmp_path, change, message):
    state = dict(network.state_dict())
    change(state)
    save_file(state, tmp_path / "odd.safetensors", METADATA)
    with pytest.raises(ModelError, match=message):
        load_compact(tmp_path / "odd.safetensors")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "expected format xover-compact-1, got None"),
        ({"format": "xover-locus-1"}, "expected format xover-compact-1, got xover-locus-1"),
        ({"format": FORMAT}, "damaged metadata, KeyError"),
        ({"format": FORMAT, "radii": "wide"}, "damaged metadata"),
        ({"format": FORMAT, "radii": "[0.6, 0.2]"}, "ascending radii"),
    ],
)
def test_wrong_metadata_is_refused(network, tmp_path, metadata, message):
    save_file(dict(network.state_dict()), tmp_path / "odd.safetensors", metadata)
    for source in (tmp_path / "odd.safetensors", (tmp_path / "odd.safetensors").read_bytes()):
        with pytest.raises(ModelError, match=message):
            load_compact(source)


def test_a_damaged_file_is_refused(file):
    with pytest.raises(ModelError, match=r"weights mine: cannot be read"):
        load_compact(file.read_bytes()[:-50], "mine")
    with pytest.raises(ModelError, match=r"weights mine: cannot be read"):
        load_compact(b"", "mine")
    with pytest.raises(ModelError, match=r"nowhere.*cannot be read"):
        load_compact(file.with_name("nowhere"))
