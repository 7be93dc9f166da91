# SPDX-License-Identifier: Apache-2.0
"""Site adaptation: what is kept apart, what the heads see, and that they get better where they can."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
import torch
from adaptation_cases import SETTINGS, make_network, make_scene
from torch import nn

from xover_core.config_io import override
from xover_core.errors import TrainingError
from xover_core.geometry.transforms import pose_error
from xover_core.training.adaptation_frames import split_scene
from xover_core.training.adaptation_heads import SiteHeads
from xover_core.training.adaptation_inputs import frame_inputs, make_training_views
from xover_core.training.adaptation_settings import ChangedCopiesSettings, HeldOutSettings
from xover_core.training.adaptation_task import HeldOut
from xover_core.training.scene_frames import SceneFrames
from xover_core.training.site_adaptation import _choose_shares, adapt_to_site

# inputs are kept in half precision, features have norms up to 1
HALF_TOLERANCE = 5e-3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def scene() -> SceneFrames:
    return make_scene()


def test_stretches_are_kept_apart_with_a_gap(scene: SceneFrames) -> None:
    trained, held_out = split_scene(scene, HeldOutSettings(share=0.25, stretches=2, gap=0.4))
    # the last quarter of each half
    np.testing.assert_array_equal(held_out.T_world_camera[:6], scene.T_world_camera[16:22])
    np.testing.assert_array_equal(held_out.T_world_camera[6:], scene.T_world_camera[38:])
    assert len(trained) < len(scene) - len(held_out)
    for pose in trained.T_world_camera:
        assert min(math.fsum(pose_error(pose, other)) for other in held_out.T_world_camera) >= 0.4


def test_too_few_frames_are_refused(scene: SceneFrames) -> None:
    with pytest.raises(TrainingError, match="at least 12 frames to train on"):
        split_scene(scene, HeldOutSettings(gap=50.0))


def test_heads_alone_give_what_the_network_gives(scene: SceneFrames) -> None:
    network = make_network()
    inputs = frame_inputs(network, scene, num_threads=3)
    alone = SiteHeads(network)(*inputs.of([3, 5]))
    geometry = scene.geometry([3, 5])
    with torch.no_grad():
        whole = network(scene.image_tensor([3, 5]), geometry.depth, geometry.intrinsics.float())
    for one, other in zip(alone, whole, strict=True):
        torch.testing.assert_close(one, other.flatten(1, 2), atol=HALF_TOLERANCE, rtol=0)


def test_views_hold_frames_first_and_stop_when_time_is_over(scene: SceneFrames) -> None:
    network = make_network()
    copies = ChangedCopiesSettings(num_copies=2, num_patches=20)
    shares: list[float] = []

    def go_on(share: float) -> bool:
        shares.append(share)
        return len(shares) < 50

    views = make_training_views(network, scene, copies, go_on)
    np.testing.assert_array_equal(views.frames, [*range(44), *range(6)])
    assert views.inputs.values[0].shape == (50, 35 + 20, 352)
    assert shares[43] == pytest.approx(1 / 3)
    # copy 0 is the frame as it is, with the rivals first
    whole = frame_inputs(network, scene)
    torch.testing.assert_close(views.inputs.values[1][7, :35], whole.values[1][7, whole.rivals], rtol=0, atol=0)


def test_mixed_heads_lie_on_the_way(scene: SceneFrames) -> None:
    network = make_network()
    heads = SiteHeads(network)
    assert heads.squared_change().item() == 0
    with torch.no_grad():
        heads.weights[0].add_(0.5)
        heads.biases[1].add_(2.0)
    mixed = heads.mixed([0.5, 0.25])
    torch.testing.assert_close(mixed.weights[0].data, heads.weights[0].data - 0.25)
    torch.testing.assert_close(mixed.biases[1].data, heads.biases[1].data - 1.5)
    assert heads.squared_change().item() == pytest.approx(0.25 * 128 * 352 + 4 * 128)
    placed = heads.placed_in(network)
    weights = [cast(nn.Linear, one.context_heads[0]).weight.data for one in (network, placed)]
    torch.testing.assert_close(weights[1], weights[0] + 0.5)


def test_adaptation_improves_what_is_kept_apart_and_moves_only_heads(scene: SceneFrames) -> None:
    network = make_network()
    start = {key: value.clone() for key, value in network.state_dict().items()}
    stages: set[str] = set()
    result = adapt_to_site(network, scene, SETTINGS, lambda stage, _: stages.add(stage))
    assert result.is_better
    assert result.gain > 0.05
    assert all(after >= before for before, after in zip(result.before, result.after, strict=True))
    for key, value in result.network.state_dict().items():
        assert torch.equal(network.state_dict()[key], start[key])
        assert torch.equal(value, start[key]) != key.startswith(("base_heads", "context_heads")), key
    again = adapt_to_site(network, scene, SETTINGS, lambda *_: None)
    assert again.after == result.after


def test_heads_that_cannot_move_are_not_better(scene: SceneFrames) -> None:
    result = adapt_to_site(make_network(), scene, override(SETTINGS, {"trainer.learning_rate": 0.0}), lambda *_: None)
    assert not result.is_better
    assert result.shares == (0.0, 0.0)
    assert result.after == result.before


def test_the_shortest_way_with_most_of_the_gain_is_taken() -> None:
    heads = SiteHeads(make_network())
    starts = [bias.data.clone() for bias in heads.biases]
    with torch.no_grad():
        for bias in heads.biases:
            bias.add_(1.0)

    class Curves:
        """The first radius gains 0.3 until half of the way, the second only loses."""

        def measure(self, mixed: SiteHeads) -> tuple[float, ...]:
            first, second = ((b.data - b0).mean().item() for b, b0 in zip(mixed.biases, starts, strict=True))
            return 0.5 + 0.6 * min(first, 0.5) + 0.01 * first, 0.5 - 0.1 * second

    shares, after = _choose_shares(heads, cast(HeldOut, Curves()))
    assert shares == (0.5, 0.0)
    assert after == pytest.approx((0.805, 0.5))


def test_pull_keeps_heads_near_their_start(scene: SceneFrames) -> None:
    def change(pull: float) -> float:
        result = adapt_to_site(make_network(), scene, override(SETTINGS, {"pull": pull}), lambda *_: None)
        before, after = SiteHeads(make_network()), SiteHeads(result.network)
        pairs = zip(before.weights, after.weights, strict=True)
        return math.fsum((a - b).norm().item() for a, b in pairs)

    assert change(1.0) < 0.5 * change(0.0)
