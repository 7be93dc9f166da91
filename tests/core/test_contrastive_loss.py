# SPDX-License-Identifier: Apache-2.0
"""Tests of the contrastive losses against loops over their definition, with modalities missing, and of rescans."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from xover_core.errors import ConfigError, TrainingError
from xover_core.training.contrastive_loss import (
    MAX_SCALE,
    Temperature,
    instance_loss,
    joint_loss,
    scene_loss,
    symmetric_info_nce,
)
from xover_core.training.contrastive_settings import RELEASED, ContrastiveSettings
from xover_core.types import SceneModality

# Rounding of float64 in sums of some dozen exponentials.
EXACT = 1e-12
# Rounding of bfloat16 inputs of norm 1, times a factor of similarities of 14.
BFLOAT16 = 0.1
IMAGE, TEXT, CLOUD = SceneModality.IMAGE, SceneModality.TEXT, SceneModality.POINT_CLOUD
DEFAULT = ContrastiveSettings()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def unit(*shape: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def loop_direction(similarities: Tensor, positives: dict[int, list[int]], candidates: dict[int, list[int]]) -> float:
    """Mean over rows with positives, by its definition."""
    losses = []
    for i, partners in positives.items():
        if partners:
            total = sum(math.exp(similarities[i, j]) for j in candidates[i])
            losses.append(sum(-math.log(math.exp(similarities[i, j]) / total) for j in partners) / len(partners))
    return sum(losses) / len(losses) if losses else 0.0


def loop_loss(a: Tensor, b: Tensor, has_a: Tensor, has_b: Tensor, scale: float, *, counts_missing: bool) -> float:
    """Mean of both directions, each row's only positive being its own partner."""
    rows = range(len(a))
    positives = {i: [i] if has_a[i] and has_b[i] else [] for i in rows}
    of_a = {i: [j for j in rows if has_a[j] or counts_missing] for i in rows}
    of_b = {i: [j for j in rows if has_b[j] or counts_missing] for i in rows}
    similarities = scale * a @ b.T
    return (loop_direction(similarities, positives, of_b) + loop_direction(similarities.T, positives, of_a)) / 2


def some_masks(*shape: int) -> Tensor:
    return torch.rand(*shape) < 0.7


@pytest.mark.parametrize("counts_missing", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_value_is_that_of_the_definition(seed: int, counts_missing: bool) -> None:
    torch.manual_seed(seed)
    a, b, has_a, has_b = unit(7, 5), unit(7, 5), some_masks(7), some_masks(7)
    found = symmetric_info_nce(a, b, has_a, has_b, torch.tensor(9.0), counts_missing=counts_missing)
    assert found.item() == pytest.approx(loop_loss(a, b, has_a, has_b, 9.0, counts_missing=counts_missing), abs=EXACT)


def test_known_answers() -> None:
    eye, there = torch.eye(4, dtype=torch.float64), torch.ones(4, dtype=torch.bool)
    loss = symmetric_info_nce(eye, eye, there, there, torch.tensor(5.0))
    assert loss.item() == pytest.approx(math.log(1 + 3 * math.exp(-5)), abs=EXACT)
    same = torch.ones(4, 1, dtype=torch.float64)
    assert symmetric_info_nce(same, same, there, there, torch.tensor(5.0)).item() == pytest.approx(math.log(4))


def test_gradient_is_that_of_differences() -> None:
    a, b, has_a, has_b = unit(5, 4), unit(5, 4), some_masks(5), some_masks(5)
    places = torch.tensor([0, 0, 1, 2, 2])
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)

    def loss(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        is_same = places[:, None] == places
        return symmetric_info_nce(a, b, has_a, has_b, scale, is_same=is_same, same_is_positive=True)

    assert torch.autograd.gradcheck(loss, (a.requires_grad_(), b.requires_grad_(), scale))


def test_order_of_rows_and_of_modalities_does_not_matter() -> None:
    a, b, has_a, has_b, scale = unit(6, 5), unit(6, 5), some_masks(6), some_masks(6), torch.tensor(9.0)
    loss = symmetric_info_nce(a, b, has_a, has_b, scale)
    order = torch.randperm(6)
    torch.testing.assert_close(symmetric_info_nce(a[order], b[order], has_a[order], has_b[order], scale), loss)
    torch.testing.assert_close(symmetric_info_nce(b, a, has_b, has_a, scale), loss)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(symmetric_info_nce(a[order], b, has_a, has_b, scale), loss)


@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, 1e6])
def test_what_a_missing_row_holds_does_not_matter(garbage: float) -> None:
    a, b, has_a, has_b = unit(6, 5), unit(6, 5), some_masks(6), some_masks(6)
    a[0], has_a[0] = garbage, False
    a.requires_grad_()
    b.requires_grad_()
    loss = symmetric_info_nce(a, b, has_a, has_b, torch.tensor(9.0))
    loss.backward()
    assert a.grad is not None
    assert b.grad is not None
    assert not a.grad[~has_a].any()
    assert b.grad.isfinite().all()
    clean = a.detach().masked_fill(~has_a[:, None], 0)
    torch.testing.assert_close(symmetric_info_nce(clean, b, has_a, has_b, torch.tensor(9.0)), loss)


@pytest.mark.parametrize("settings", [DEFAULT, RELEASED, ContrastiveSettings(same_place="positive")])
def test_nothing_to_compare_is_zero_with_a_gradient_of_zero(settings: ContrastiveSettings) -> None:
    temperature = Temperature()
    embeddings = {IMAGE: unit(2, 3, 5).requires_grad_(), TEXT: unit(2, 3, 5).requires_grad_()}
    nothing = {modality: torch.zeros(2, 3, dtype=torch.bool) for modality in embeddings}
    instance = instance_loss(embeddings, nothing, temperature(), settings)
    scene = scene_loss(
        unit(2, 5),
        {modality: value[:, 0] for modality, value in embeddings.items()},
        {modality: mask[:, 0] for modality, mask in nothing.items()},
        scale=temperature(),
        settings=settings,
        places=torch.zeros(2),
    )
    joint = joint_loss(instance, scene, settings)
    assert joint.total.item() == 0
    assert len(joint.terms) == 3
    joint.total.backward()
    for leaf in (*embeddings.values(), temperature.log_scale):
        assert leaf.grad is not None
        assert not leaf.grad.any()


def test_no_modality_at_all_is_zero() -> None:
    assert instance_loss({}, {}, torch.tensor(9.0), DEFAULT).total == 0
    assert scene_loss(unit(3, 5), {}, {}, scale=torch.tensor(9.0), settings=DEFAULT).total == 0


def test_objects_are_compared_within_their_scene() -> None:
    embeddings = {modality: unit(3, 4, 5) for modality in (IMAGE, TEXT, CLOUD)}
    masks = {modality: some_masks(3, 4) for modality in embeddings}
    found = instance_loss(embeddings, masks, torch.tensor(9.0), DEFAULT)
    assert set(found.terms) == {"image/text", "image/point_cloud", "text/point_cloud"}
    total = 0.0
    for first, second in ((IMAGE, TEXT), (IMAGE, CLOUD), (TEXT, CLOUD)):
        losses = [
            loop_loss(
                *(embeddings[m][scene] for m in (first, second)),
                *(masks[m][scene] for m in (first, second)),
                9.0,
                counts_missing=False,
            )
            for scene in range(3)
        ]
        counts = (masks[first] & masks[second]).sum(1)
        total += sum(loss * count for loss, count in zip(losses, counts.tolist(), strict=True)) / counts.sum().item()
    assert found.total.item() == pytest.approx(total, abs=EXACT)


def test_released_objects_are_compared_with_images_and_missing_ones() -> None:
    embeddings = {modality: unit(1, 4, 5) for modality in (TEXT, IMAGE, CLOUD)}
    masks = {modality: torch.ones(1, 4, dtype=torch.bool) for modality in embeddings}
    masks[TEXT][0, 1] = False
    found = instance_loss(embeddings, masks, torch.tensor(9.0), RELEASED)
    assert set(found.terms) == {"image/text", "image/point_cloud"}
    rows = (embeddings[IMAGE][0], embeddings[TEXT][0], masks[IMAGE][0], masks[TEXT][0])
    assert found.terms["image/text"].item() == pytest.approx(loop_loss(*rows, 9.0, counts_missing=True), abs=EXACT)
    default = instance_loss(embeddings, masks, torch.tensor(9.0), DEFAULT)
    assert default.terms["text/image"] < found.terms["image/text"]


def scenes(num: int = 6) -> tuple[Tensor, dict[SceneModality, Tensor], dict[SceneModality, Tensor]]:
    embeddings = {modality: unit(num, 5) for modality in (IMAGE, TEXT, CLOUD)}
    return unit(num, 5), embeddings, {modality: some_masks(num) for modality in embeddings}


def test_scenes_are_compared_with_their_fused_objects() -> None:
    fused, embeddings, masks = scenes()
    has_fused = torch.tensor([True] * 5 + [False])
    settings = ContrastiveSettings(alpha=2.0, beta=3.0, gamma=5.0)
    found = scene_loss(
        fused, embeddings, masks, scale=torch.tensor(9.0), settings=settings, fused_mask=has_fused, places=None
    )
    terms = {
        m: loop_loss(fused, embeddings[m], has_fused, masks[m], 9.0, counts_missing=False) for m in (TEXT, IMAGE, CLOUD)
    }
    for modality, expected in terms.items():
        assert found.terms[f"fused/{modality.value}"].item() == pytest.approx(expected, abs=EXACT)
    assert found.total.item() == pytest.approx(2 * terms[TEXT] + 3 * terms[IMAGE] + 5 * terms[CLOUD], abs=EXACT)


def test_scenes_are_compared_between_all_modalities() -> None:
    fused, embeddings, masks = scenes()
    both = ContrastiveSettings(scene_pairs="both", alpha=2.0, beta=4.0)
    found = scene_loss(fused, embeddings, masks, scale=torch.tensor(9.0), settings=both)
    assert len(found.terms) == 6
    weights = {"fused/image": 4, "fused/text": 2, "fused/point_cloud": 1}
    weights |= {"image/text": 3, "image/point_cloud": 2.5, "text/point_cloud": 1.5}
    assert found.total.item() == pytest.approx(sum(weights[name] * term.item() for name, term in found.terms.items()))
    alone = dataclasses.replace(both, scene_pairs="modalities")
    without = scene_loss(None, embeddings, masks, scale=torch.tensor(9.0), settings=alone)
    assert set(without.terms) == {name for name in found.terms if "fused" not in name}


def test_released_directions_are_added() -> None:
    fused, embeddings, masks = scenes()
    there = {modality: torch.ones_like(mask) for modality, mask in masks.items()}
    released = scene_loss(fused, embeddings, there, scale=torch.tensor(9.0), settings=RELEASED)
    default = scene_loss(fused, embeddings, there, scale=torch.tensor(9.0), settings=DEFAULT)
    assert released.total.item() == pytest.approx(2 * default.total.item(), abs=EXACT)


def test_rescans_of_a_place_are_no_negatives() -> None:
    a, b, there = unit(4, 5), unit(4, 5), torch.ones(4, dtype=torch.bool)
    places = torch.tensor([3, 1, 3, 2])
    candidates = {0: [0, 1, 3], 1: [0, 1, 2, 3], 2: [1, 2, 3], 3: [0, 1, 2, 3]}
    similarities = 9.0 * a @ b.T
    own = {i: [i] for i in range(4)}
    excluded = sum(loop_direction(s, own, candidates) for s in (similarities, similarities.T)) / 2
    same = own | {0: [0, 2], 2: [0, 2]}
    everything = {i: [0, 1, 2, 3] for i in range(4)}
    positive = sum(loop_direction(s, same, everything) for s in (similarities, similarities.T)) / 2
    negative = loop_loss(a, b, there, there, 9.0, counts_missing=False)
    for choice, expected in (("excluded", excluded), ("positive", positive), ("negative", negative)):
        settings = ContrastiveSettings(same_place=choice)
        found = scene_loss(a, {IMAGE: b}, {IMAGE: there}, scale=torch.tensor(9.0), settings=settings, places=places)
        assert found.total.item() == pytest.approx(expected, abs=EXACT)


def test_a_rescan_stands_in_for_a_missing_partner() -> None:
    a, b = unit(3, 5), unit(3, 5)
    has_b, places = torch.tensor([False, True, True]), torch.tensor([0, 0, 1])
    settings = ContrastiveSettings(same_place="positive")
    found = scene_loss(a, {IMAGE: b}, {IMAGE: has_b}, scale=torch.tensor(9.0), settings=settings, places=places)
    similarities = 9.0 * a @ b.T
    forward = loop_direction(similarities, {0: [1], 1: [1], 2: [2]}, {i: [1, 2] for i in range(3)})
    backward = loop_direction(similarities.T, {1: [0, 1], 2: [2]}, {1: [0, 1, 2], 2: [0, 1, 2]})
    assert found.total.item() == pytest.approx((forward + backward) / 2, abs=EXACT)


def test_joint_loss_is_a_weighted_sum() -> None:
    fused, embeddings, masks = scenes()
    scale, settings = torch.tensor(9.0), ContrastiveSettings(instance_weight=0.25)
    scene = scene_loss(fused, embeddings, masks, scale=scale, settings=settings)
    objects = {modality: unit(6, 3, 5) for modality in embeddings}
    instance = instance_loss(objects, {modality: some_masks(6, 3) for modality in objects}, scale, settings)
    found = joint_loss(instance, scene, settings)
    assert found.total.item() == pytest.approx(0.25 * instance.total.item() + scene.total.item(), abs=EXACT)
    assert {"instance/image/text", "scene/fused/image"} <= set(found.terms)


def test_temperature_is_learned_and_held_back() -> None:
    temperature = Temperature(0.07)
    assert temperature().item() == pytest.approx(1 / 0.07)
    temperature().backward()
    assert temperature.log_scale.grad is not None
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    scale = temperature()
    assert scale.item() == pytest.approx(MAX_SCALE)
    temperature.log_scale.grad = None
    scale.backward()
    # at the limit it still has a gradient, and so comes down again when that is better
    assert temperature.log_scale.grad.item() == pytest.approx(MAX_SCALE)
    assert not [p for p in Temperature(learns=False).parameters() if p.requires_grad]


def test_half_precision_is_computed_in_float32() -> None:
    fused, embeddings, masks = scenes()
    scale = torch.tensor(14.0)
    expected = scene_loss(fused, embeddings, masks, scale=scale, settings=DEFAULT).total
    halves = {modality: value.bfloat16() for modality, value in embeddings.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = scene_loss(fused.bfloat16(), halves, masks, scale=scale, settings=DEFAULT).total
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), abs=BFLOAT16)


def test_arguments_that_do_not_fit() -> None:
    fused, embeddings, masks = scenes()
    scale = torch.tensor(9.0)
    with pytest.raises(TrainingError, match="expected a mask for image, text, point_cloud, got image"):
        scene_loss(fused, embeddings, {IMAGE: masks[IMAGE]}, scale=scale, settings=DEFAULT)
    with pytest.raises(TrainingError, match="expected embeddings of one 3-d shape"):
        instance_loss(embeddings, masks, scale, DEFAULT)
    with pytest.raises(TrainingError, match="expected bool masks"):
        scene_loss(fused, embeddings, masks | {TEXT: masks[TEXT].float()}, scale=scale, settings=DEFAULT)
    with pytest.raises(TrainingError, match="scene_pairs = fused needs fused embeddings"):
        scene_loss(None, embeddings, masks, scale=scale, settings=DEFAULT)
    with pytest.raises(TrainingError, match="expected the base modality image among text"):
        instance_loss({TEXT: unit(1, 2, 3)}, {TEXT: some_masks(1, 2)}, scale, RELEASED)
    with pytest.raises(ConfigError, match="same_place"):
        ContrastiveSettings(same_place="same")
