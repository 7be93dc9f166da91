# SPDX-License-Identifier: Apache-2.0
"""Tests of the light text network: size, independence of a batch's padding, and what order and typos do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xover_core.encoders.text_tokens import MAX_WORDS, NUM_BUCKETS, batch_tokens
from xover_core.networks.light_text_network import LightTextNetwork

# float32 rounding through two layers
TOLERANCE = 1e-5
MAX_PARAMETERS = 2_000_000
TEXTS = (
    "sofa",
    "the room with the red sofa next to the window",
    "kitchen, two chairs, round white table, and a refrigerator that hums",
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def network() -> LightTextNetwork:
    return LightTextNetwork().eval()


def vectors(network: LightTextNetwork, *texts: str) -> Tensor:
    """(B, out_dim) of texts in one batch."""
    return network(torch.from_numpy(batch_tokens(texts)))


def test_is_small_and_fits_the_tokens(network: LightTextNetwork) -> None:
    assert sum(p.numel() for p in network.parameters()) <= MAX_PARAMETERS
    assert network.grams.num_embeddings == NUM_BUCKETS
    assert network.positions.shape[0] == MAX_WORDS
    assert vectors(network, *TEXTS).shape == (3, 256)
    assert vectors(LightTextNetwork(width=32, heads=2, out_dim=7), *TEXTS).shape == (3, 7)


@pytest.mark.parametrize("has_gradient", [True, False])
def test_the_other_texts_of_a_batch_change_nothing(network: LightTextNetwork, has_gradient: bool) -> None:
    with torch.set_grad_enabled(has_gradient):
        together = vectors(network, *TEXTS)
        alone = torch.cat([vectors(network, text) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=TOLERANCE, rtol=0)


def test_padded_words_and_pieces_change_nothing(network: LightTextNetwork) -> None:
    ids = torch.from_numpy(batch_tokens(TEXTS[1:2]))
    padded = torch.nn.functional.pad(ids, (0, 5, 0, 20))
    torch.testing.assert_close(network(padded), network(ids), atol=TOLERANCE, rtol=0)


def test_padding_has_no_gradient() -> None:
    network = LightTextNetwork()
    vectors(network, *TEXTS).square().sum().backward()
    gradient = network.grams.weight.grad
    assert gradient is not None
    assert (gradient[0] == 0).all()
    used = torch.from_numpy(batch_tokens(TEXTS)).unique()[1:]
    assert (gradient[used].abs().sum(dim=1) > 0).all()


def test_the_order_of_words_matters(network: LightTextNetwork) -> None:
    first, second = vectors(network, "red sofa and white table", "white sofa and red table")
    assert (first - second).abs().max() > 100 * TOLERANCE


def test_a_typo_moves_a_text_less_than_another_word(network: LightTextNetwork) -> None:
    right, typo, other = vectors(network, "the wardrobe", "the wardobe", "the kitchen")
    assert (right - typo).norm() < (right - other).norm()


def test_the_longest_text_fits(network: LightTextNetwork) -> None:
    assert vectors(network, "chair " * 500).isfinite().all()
