# SPDX-License-Identifier: Apache-2.0
"""Means over pieces of words: known answers, the same in a graph as outside of it, and no loop in that graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xover_core.networks.light_text_network import LightTextNetwork
from xover_core.networks.piece_means import PieceMeans

# float32 sums of up to 12 numbers about 1, in another order
TOLERANCE = 1e-6
NUM_BUCKETS, WIDTH = 50, 6


@pytest.fixture
def means() -> PieceMeans:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = PieceMeans(NUM_BUCKETS, WIDTH).eval()
    # what padding holds must not be read
    network.weight.data[0] = torch.inf
    return network


@pytest.fixture
def ids() -> Tensor:
    """Words of 1 to 12 pieces, and one that is padding."""
    ids = torch.randint(1, NUM_BUCKETS, (9, 12), generator=torch.Generator().manual_seed(1))
    ids *= torch.arange(12) < torch.tensor([1, 2, 3, 12, 12, 7, 5, 1, 0])[:, None]
    return ids


def test_a_word_is_the_mean_of_its_pieces(means: PieceMeans, ids: Tensor) -> None:
    found = means(ids)
    for row, word in zip(found, ids, strict=True):
        pieces = word[word > 0]
        expected = means.weight[pieces].mean(0) if len(pieces) else torch.zeros(WIDTH)
        torch.testing.assert_close(row, expected, atol=TOLERANCE, rtol=0)


def test_a_graph_of_it_gives_the_same_without_its_own_operator(means: PieceMeans, ids: Tensor) -> None:
    means.weight.data[0] = 3.0
    sizes = {0: torch.export.Dim("words", max=64), 1: torch.export.Dim("pieces", max=64)}
    program = torch.export.export(means, (ids,), dynamic_shapes=(sizes,), strict=False)
    for some in (ids, ids[:, :5], ids[:4]):
        torch.testing.assert_close(program.module()(some), means(some), atol=TOLERANCE, rtol=0)
    assert not any("embedding_bag" in str(node.target) for node in program.graph.nodes)


def test_weights_are_called_as_before() -> None:
    assert LightTextNetwork(width=8, heads=2).state_dict()["grams.weight"].shape == (8192, 8)
    assert list(PieceMeans(3, 2).state_dict()) == ["weight"]
