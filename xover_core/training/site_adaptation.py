# SPDX-License-Identifier: Apache-2.0
"""Adapts the heads of a compact encoder to a site: trained on its frames, measured on others of it that are kept apart.

A head that is free to move memorises what it sees, and finds other places worse. So the backbone is frozen, the heads
start from the shipped ones and are drawn back to them, training stops at the best weights on frames kept apart, and
there it is decided for each radius how far to go from the shipped head to the trained one. Heads are linear maps, so
the way between two of them is a straight line.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.training.adaptation_frames import split_scene
from xover_core.training.adaptation_heads import SiteHeads
from xover_core.training.adaptation_inputs import TrainingViews, make_training_views
from xover_core.training.adaptation_settings import AdaptationSettings
from xover_core.training.adaptation_task import AdaptationTask, HeldOut
from xover_core.training.scene_frames import SceneFrames
from xover_core.training.trainer import StopReason, Trainer

# Shares of the way from the shipped head to the trained one that are tried.
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Of the largest gain on the way, this share is enough.
_ENOUGH = 0.8
# Of the time, at most this share goes into copies of frames.
_SHARE_FOR_COPIES = 0.5
_SECONDS_PER_MINUTE = 60.0

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationResult:
    """What an adaptation gave.

    Attributes:
        network: with the new heads.
        radii: metres.
        before: for each radius, average precision of the old heads on the frames kept apart.
        after: the same of the new ones.
        shares: for each radius, how far it went from the old head to the trained one.
        num_trained: frames that were trained on.
        num_held_out: frames kept apart.
        num_steps: steps of training.
        is_better: whether `gain` is above the margin.
    """

    network: CompactEncoder
    radii: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    shares: tuple[float, ...]
    num_trained: int
    num_held_out: int
    num_steps: int
    is_better: bool

    @property
    def gain(self) -> float:
        """Growth of the mean over the radii."""
        return _mean_gain(self.before, self.after)


def adapt_to_site(
    network: CompactEncoder, scene: SceneFrames, settings: AdaptationSettings, progress: Progress
) -> AdaptationResult:
    """Train the heads of a network on a site, and measure them before and after.

    Args:
        network: left as it is.
        scene: frames of the site.
        settings: of everything.
        progress: called with the name of a stage and the share of it that is done.

    Raises:
        TrainingError: too few frames, or none that overlap.
        KeyboardInterrupt: the user has stopped it.
    """
    deadline = _Deadline(settings.max_minutes)
    trained, kept_apart = split_scene(scene, settings.held_out)

    def go_on(share: float) -> bool:
        progress("views", share)
        return deadline.share_used < _SHARE_FOR_COPIES

    with _one_thread_for_each() as num_threads:
        held_out = HeldOut(network, kept_apart, settings, num_threads)
        heads = SiteHeads(network)
        before = held_out.measure(heads)
        views = make_training_views(network, trained, settings.copies, go_on, num_threads=num_threads)
        num_steps = _train(heads, views, trained, held_out, deadline.limit_training(settings))
        shares, after = _choose_shares(heads, held_out)
    return AdaptationResult(
        network=heads.mixed(shares).placed_in(network),
        radii=network.radii,
        before=before,
        after=after,
        shares=shares,
        num_trained=len(trained),
        num_held_out=len(kept_apart),
        num_steps=num_steps,
        is_better=_mean_gain(before, after) > settings.held_out.min_gain,
    )


@contextmanager
def _one_thread_for_each() -> Iterator[int]:
    """Within, torch works in one thread, so that several frames can be described side by side; gives how many.

    Threads of one matrix product wait for each other, actively: where other programs run too, as on a robot, that costs
    up to fifty times the work.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


def _train(
    heads: SiteHeads, views: TrainingViews, scene: SceneFrames, held_out: HeldOut, settings: AdaptationSettings
) -> int:
    """Bring the heads to their best weights; returns the number of steps."""
    task = AdaptationTask(heads, views, scene.overlap, held_out, settings)
    with tempfile.TemporaryDirectory(prefix="xover-adapt-") as name:
        folder = Path(name) / "run"
        result = Trainer(task, settings.trainer, folder).run()
        if result.reason is StopReason.INTERRUPTED:
            raise KeyboardInterrupt
        task.load_weights(folder / "best.safetensors")
    return result.step


def _choose_shares(heads: SiteHeads, held_out: HeldOut) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """For each radius the share that is enough on the frames kept apart, and the average precision there."""
    found = np.array([held_out.measure(heads.mixed([share] * len(heads.radii))) for share in _SHARES])
    gains = found - found[0]
    # the first that is as good, or nearly: the less a head has moved, the less it has forgotten of other places
    chosen = (gains >= _ENOUGH * gains.max(axis=0)).argmax(axis=0)
    return tuple(_SHARES[i] for i in chosen), tuple(float(found[i, k]) for k, i in enumerate(chosen))


def _mean_gain(before: Sequence[float], after: Sequence[float]) -> float:
    """How much the mean has grown."""
    return float(np.mean(after) - np.mean(before))


class _Deadline:
    """How much of the time for everything is over."""

    def __init__(self, minutes: float) -> None:
        self._minutes = minutes
        self._start = time.monotonic()

    @property
    def share_used(self) -> float:
        """In [0, 1], or more when it is over; 0 without a limit."""
        if not self._minutes:
            return 0.0
        return (time.monotonic() - self._start) / (self._minutes * _SECONDS_PER_MINUTE)

    def limit_training(self, settings: AdaptationSettings) -> AdaptationSettings:
        """Settings with what is left as the trainer's time."""
        if not self._minutes:
            return settings
        left = max(self._minutes * (1 - self.share_used), 1 / _SECONDS_PER_MINUTE)
        return dataclasses.replace(settings, trainer=dataclasses.replace(settings.trainer, max_minutes=left))
