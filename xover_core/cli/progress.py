# SPDX-License-Identifier: Apache-2.0
"""Progress bars on stderr, shown only when a person is watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def frame_progress(description: str, unit: str = "frames") -> Iterator[Callable[[int, int], None]]:
    """Give a function to be called with (frames done, all frames), or with counts of another unit."""
    with tqdm(desc=description, unit=f" {unit}", disable=None, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextmanager
def stage_progress(description: str) -> Iterator[Callable[[str, float], None]]:
    """Give a function to be called with (stage, share done in [0, 1])."""
    with tqdm(desc=description, total=100, unit="%", disable=None, leave=False) as bar:

        def show(stage: str, share: float) -> None:
            bar.set_postfix_str(stage, refresh=False)
            bar.update(round(100 * share) - bar.n)

        yield show
