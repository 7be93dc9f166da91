# SPDX-License-Identifier: Apache-2.0
"""Tests of smooth AP against its definition in value and gradient, of both ways to sum, and of pair labels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from naive_smooth_ap import naive_smooth_ap
from torch import Tensor

from xover_core.errors import ConfigError, TrainingError
from xover_core.training.pair_labels import PairSettings, label_pairs
from xover_core.training.sigmoid_sums import (
    RowValues,
    direct_sums,
    grid_sums,
    kernel_sums,
    sigmoid,
    sigmoid_slope,
)
from xover_core.training.smooth_ap import mean_smooth_ap, smooth_ap_per_query, vectorized_smooth_ap

# Rounding of float64 in sums of up to 1e4 sigmoids.
EXACT = 1e-11
# One rounding to float32.
FLOAT32 = 1e-6


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=[direct_sums, grid_sums, kernel_sums], ids=["direct", "grid", "automatic"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xover_core.training.smooth_ap.kernel_sums", request.param)


def draw_scores(num: int, num_positive: int, *, spread: float = 0.3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Cosine-like similarities; positives are higher, with overlap."""
    generator = torch.Generator().manual_seed(seed)
    is_positive = torch.zeros(num, dtype=torch.bool)
    is_positive[torch.randperm(num, generator=generator)[:num_positive]] = True
    scores = spread * torch.randn(num, generator=generator, dtype=torch.float64) + 0.2 * is_positive
    return scores.clamp(-1, 1), is_positive


def value_and_gradient(
    function: Callable[..., Tensor], scores: Tensor, *masks: Tensor, **options: float
) -> list[Tensor]:
    """A function's value, and its derivative by the scores."""
    leaf = scores.clone().requires_grad_()
    value = function(leaf, *masks, **options)
    value.sum().backward()
    assert leaf.grad is not None
    return [value.detach(), leaf.grad]


def assert_same(found: list[Tensor], expected: list[Tensor], tolerance: float = EXACT) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b.to(a.dtype), rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("counts_self", [False, True])
@pytest.mark.parametrize("temperature", [0.001, 0.01, 0.3])
@pytest.mark.parametrize(("num", "num_positive"), [(1, 1), (2, 1), (50, 50), (700, 40)])
def test_equals_its_definition(num: int, num_positive: int, temperature: float, counts_self: bool) -> None:
    scores, is_positive = draw_scores(num, num_positive)
    options = {"temperature": temperature, "counts_self": counts_self}
    assert_same(
        value_and_gradient(vectorized_smooth_ap, scores, is_positive, **options),
        value_and_gradient(naive_smooth_ap, scores, is_positive, **options),
    )


@pytest.mark.usefixtures("_either_way")
def test_ties() -> None:
    scores, is_positive = draw_scores(600, 60)
    scores = (scores * 10).round() / 10
    assert_same(
        value_and_gradient(vectorized_smooth_ap, scores, is_positive),
        value_and_gradient(naive_smooth_ap, scores, is_positive),
    )


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("offset", [-1e6, 1e6])
def test_only_differences_count(offset: float) -> None:
    scores, is_positive = draw_scores(300, 30)
    shifted = scores + offset
    assert_same(
        value_and_gradient(vectorized_smooth_ap, shifted, is_positive),
        value_and_gradient(naive_smooth_ap, shifted - offset, is_positive),
        # cancelling the offset inside differs from cancelling it here by roundings of 1e6, in units of 0.01
        tolerance=1e-7,
    )


@pytest.mark.usefixtures("_either_way")
def test_far_apart_scores_saturate() -> None:
    """Hundreds of temperatures lie between the groups; the grid has cells that are beyond its band."""
    scores, is_positive = draw_scores(400, 80)
    scores += torch.arange(400) % 4 * 3.0
    assert_same(
        value_and_gradient(vectorized_smooth_ap, scores, is_positive),
        value_and_gradient(naive_smooth_ap, scores, is_positive),
    )


def test_gradcheck() -> None:
    scores, is_positive = draw_scores(12, 4, spread=0.02)
    rows = torch.stack([scores, scores.flip(0)]).requires_grad_()
    masks = torch.stack([is_positive, ~is_positive])
    assert torch.autograd.gradcheck(lambda s: vectorized_smooth_ap(s, masks), rows)
    assert torch.autograd.gradcheck(lambda s: smooth_ap_per_query(s, masks, counts_self=True), rows)


@pytest.mark.parametrize("counts_self", [False, True])
def test_perfect_and_worst_ranking(counts_self: bool) -> None:
    scores = torch.tensor([0.9, 0.5, 0.1])
    perfect = vectorized_smooth_ap(scores, torch.tensor([True, False, False]), counts_self=counts_self)
    worst = vectorized_smooth_ap(scores, torch.tensor([False, False, True]), counts_self=counts_self)
    assert perfect == pytest.approx(1.0, abs=FLOAT32)
    # counting itself adds a half to the rank of 1 and to the rank of 3
    assert worst == pytest.approx(1.5 / 3.5 if counts_self else 1 / 3, abs=FLOAT32)


def test_without_positives_there_is_nothing_to_learn() -> None:
    scores = torch.rand(5, requires_grad=True)
    value = vectorized_smooth_ap(scores, torch.zeros(5, dtype=torch.bool))
    value.backward()
    assert value == 0
    assert scores.grad is not None
    assert scores.grad.abs().max() == 0
    assert vectorized_smooth_ap(torch.zeros(0), torch.zeros(0, dtype=torch.bool)) == 0


def test_pairs_outside_of_the_universe_are_ignored() -> None:
    scores, is_positive = draw_scores(200, 30)
    universe = torch.arange(200) % 3 > 0
    value, gradient = value_and_gradient(vectorized_smooth_ap, scores, is_positive, universe)
    expected, kept = value_and_gradient(naive_smooth_ap, scores[universe], is_positive[universe])
    assert_same([value, gradient[universe]], [expected, kept])
    assert gradient[~universe].abs().max() == 0


@pytest.mark.usefixtures("_either_way")
def test_each_query_has_its_own_ranking() -> None:
    rows = [draw_scores(150, n, seed=n) for n in (1, 20, 150, 0)]
    scores, is_positive = (torch.stack(part) for part in zip(*rows, strict=True))
    value, gradient = value_and_gradient(smooth_ap_per_query, scores, is_positive)
    for row in range(3):
        expected = value_and_gradient(naive_smooth_ap, scores[row], is_positive[row])
        assert_same([value[row], gradient[row]], expected)
    assert value[3] == 0
    assert gradient[3].abs().max() == 0
    assert mean_smooth_ap(scores, is_positive) == pytest.approx(float(value[:3].mean()), abs=EXACT)


def test_all_pairs_in_one_ranking_differ_from_the_mean_of_rankings() -> None:
    """A query whose similarities are all higher pushes the others' positives down only in the common ranking."""
    scores = torch.tensor([[0.9, 0.6], [0.3, 0.0]])
    is_positive = torch.tensor([[True, False], [True, False]])
    assert mean_smooth_ap(scores, is_positive) == pytest.approx(1.0, abs=FLOAT32)
    # ranks 1 of 1, and 2 of 3
    assert vectorized_smooth_ap(scores, is_positive) == pytest.approx((1 + 2 / 3) / 2, abs=FLOAT32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_gives_a_float32_value_and_its_own_gradient(dtype: torch.dtype) -> None:
    scores, is_positive = draw_scores(300, 30)
    scores = scores.to(dtype)
    value, gradient = value_and_gradient(vectorized_smooth_ap, scores, is_positive)
    expected = value_and_gradient(naive_smooth_ap, scores.double(), is_positive)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert_same([value], expected[:1], FLOAT32)
    torch.testing.assert_close(gradient, expected[1].to(dtype))


def test_a_diverged_network_gives_nan() -> None:
    scores = torch.tensor([0.1, float("nan"), 0.3], requires_grad=True)
    value = vectorized_smooth_ap(scores, torch.tensor([True, False, False]))
    value.backward()
    assert value.isnan()
    assert scores.grad is not None
    assert scores.grad.isnan().all()


def test_memory_is_linear() -> None:
    """What is kept for the backward pass grows as the pairs do, although positives grow too."""
    kept: list[int] = []
    for num in (1000, 10_000):
        sizes: list[int] = []
        scores, is_positive = draw_scores(num, num // 5)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.nbytes) or t, lambda t: t):
            vectorized_smooth_ap(scores.requires_grad_(), is_positive)
        kept.append(sum(sizes))
    assert kept[1] <= 10 * kept[0]


def test_bad_arguments_are_refused() -> None:
    scores, is_positive = torch.rand(4), torch.ones(4, dtype=torch.bool)
    with pytest.raises(TrainingError, match="bool masks"):
        vectorized_smooth_ap(scores, is_positive.long())
    with pytest.raises(TrainingError, match="shape"):
        vectorized_smooth_ap(scores, is_positive[:3])
    with pytest.raises(TrainingError, match=r"\(Q, N\)"):
        smooth_ap_per_query(scores, is_positive)
    with pytest.raises(TrainingError, match="temperature"):
        vectorized_smooth_ap(scores, is_positive, temperature=0.0)


@pytest.mark.parametrize("kernel", [sigmoid, sigmoid_slope])
def test_grid_equals_direct_sums(kernel: Callable[[Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(3)

    def draw(num: int) -> RowValues:
        rows = torch.randint(0, 5, (num,), generator=generator).sort().values
        values = 300 * torch.rand(num, generator=generator, dtype=torch.float64)
        return RowValues(values=values, rows=rows, num_rows=6)

    sources, targets = draw(3000), draw(200)
    weights = torch.randn(3000, 2, generator=generator, dtype=torch.float64)
    found, expected = (way(sources, weights, targets, kernel) for way in (grid_sums, direct_sums))
    torch.testing.assert_close(found, expected, rtol=EXACT, atol=EXACT)


def test_nothing_to_sum() -> None:
    nothing = RowValues(values=torch.zeros(0).double(), rows=torch.zeros(0).long(), num_rows=2)
    one = RowValues(values=torch.ones(1).double(), rows=torch.ones(1).long(), num_rows=2)
    for way in (direct_sums, grid_sums, kernel_sums):
        assert way(nothing, torch.zeros(0, 3).double(), one, sigmoid).tolist() == [[0, 0, 0]]
        assert way(one, torch.ones(1, 3).double(), nothing, sigmoid).shape == (0, 3)


POINTS = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [1, 0, 0], [3, 0, 0], [torch.nan] * 3])


def test_labels_by_distance() -> None:
    labels = label_pairs(POINTS[:2], POINTS, torch.tensor([0, 1]), PairSettings(radius=0.2, kappa=10.0))
    assert labels.is_positive.tolist() == [[False, True, False, False, False], [True, False, False, False, False]]
    assert labels.in_universe.tolist() == [[False, True, True, False, False], [True, False, True, False, False]]


def test_released_self_match_blanks_the_patches_of_all_landmarks() -> None:
    settings = PairSettings(radius=0.2, kappa=10.0, self_match="released")
    labels = label_pairs(POINTS[:2], POINTS, torch.tensor([0, 1]), settings)
    assert not labels.is_positive.any()
    assert labels.in_universe.tolist() == [[False, False, True, False, False]] * 2


def test_a_share_of_the_patches_keeps_every_positive() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1000, 3, generator=generator)
    everything, some = (
        label_pairs(points[:8], points, torch.arange(8), PairSettings(radius=0.2, patch_share=share), generator)
        for share in (1.0, 0.1)
    )
    assert torch.equal(some.is_positive, everything.is_positive)
    negatives = (some.in_universe & ~some.is_positive).sum() / (everything.in_universe & ~everything.is_positive).sum()
    assert 0.05 < negatives < 0.15


def test_points_far_from_the_origin_keep_their_millimetres() -> None:
    points = torch.tensor([[100.0, 0, 0], [100.199, 0, 0], [100.201, 0, 0]])
    labels = label_pairs(points[:1], points, torch.tensor([0]), PairSettings(radius=0.2))
    assert labels.is_positive.tolist() == [[False, True, False]]


def test_bad_pairs_are_refused() -> None:
    with pytest.raises(ConfigError, match="kappa"):
        PairSettings(kappa=0.5)
    with pytest.raises(TrainingError, match=r"\(L, 3\)"):
        label_pairs(POINTS[:, :2], POINTS, torch.tensor([0]), PairSettings())
