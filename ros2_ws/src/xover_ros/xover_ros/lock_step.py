# SPDX-License-Identifier: Apache-2.0
"""Keeps a player from running ahead of the nodes that process its images.

Each active localizer and mapper publishes a `std_msgs/Header` on `processed` for every image that it is done with,
whether it was processed, dropped or not needed: the image's stamp, and the node's name as frame id. The player sends an
image only when all but the last one before it are done with: one is being processed while the next one waits in the
node, so nothing is ever replaced by something newer, and whatever must come after an image to complete it (depth,
odometry, transforms) is sent before the player waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

IMAGES_UNDER_WAY = 2
_CHECK_PERIOD_S = 0.2


class LockStep:
    """What has been sent and what is done with; used by the player's and the executor's thread."""

    def __init__(self, count_nodes: Callable[[], int]) -> None:
        """Start with nothing sent.

        Args:
            count_nodes: how many nodes acknowledge images at the moment.
        """
        self._count_nodes = count_nodes
        self._sent: deque[int] = deque()
        self._done_ns: dict[str, int] = {}
        self._changed = threading.Condition()

    def acknowledge(self, node_name: str, stamp_ns: int) -> None:
        """A node is done with the image of that stamp, and with all before."""
        with self._changed:
            self._done_ns[node_name] = max(stamp_ns, self._done_ns.get(node_name, 0))
            self._changed.notify_all()

    def sent(self, stamp_ns: int) -> None:
        """An image was sent."""
        self._sent.append(stamp_ns)

    def clear(self) -> None:
        """Forget everything: the bag starts again."""
        with self._changed:
            self._sent.clear()
            self._done_ns.clear()

    def wait(self, num_under_way: int, timeout_s: float, is_stopped: Callable[[], bool]) -> bool:
        """Wait until at most so many of the images sent are not done with.

        Returns:
            False when that took longer than `timeout_s`; the images waited for are then given up.
        """
        while len(self._sent) > num_under_way:
            if not self._wait_for(self._sent[0], timeout_s, is_stopped):
                self._sent.popleft()
                return False
            self._sent.popleft()
        return True

    def _wait_for(self, stamp_ns: int, timeout_s: float, is_stopped: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not is_stopped():
                num_done = sum(done_ns >= stamp_ns for done_ns in self._done_ns.values())
                if num_done >= max(self._count_nodes(), 1):
                    return True
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0:
                    return False
                self._changed.wait(min(remaining_s, _CHECK_PERIOD_S))
        return True
