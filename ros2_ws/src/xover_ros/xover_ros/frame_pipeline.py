# SPDX-License-Identifier: Apache-2.0
"""From complete frames to published answers: the worker thread, what it is given, and what is done with its answers."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from xover_core.errors import XoverError
from xover_core.sensors.assembly import AssembledFrame
from xover_ros.mailbox import Mailbox
from xover_ros.message_conversions import header
from xover_ros.problem_log import ProblemLog
from xover_ros.qos import reliable
from xover_ros.worker import Report, Worker

PROCESSED_TOPIC = "processed"  # a Header for each image that is done with; bag_player's lock step waits for it

ResultT = TypeVar("ResultT")
Publish = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHandlers:
    """What a node does with frames.

    Attributes:
        is_due: whether to process a frame at all; called by the executor's thread.
        process: processes a frame and returns the call that publishes the answer; called by the worker, while the call
            it returns is made by the executor's thread. XoverError drops the frame.
    """

    is_due: Callable[[AssembledFrame], bool]
    process: Callable[[AssembledFrame], Publish]


class FramePipeline:
    """The worker thread of a node, made when it is configured.

    All methods are called by the executor's thread. Every image that was heard is acknowledged on `processed` once it
    is done with, whether it was processed, dropped, or not needed.
    """

    def __init__(self, node: Node, mailbox: Mailbox, problems: ProblemLog, handlers: FrameHandlers) -> None:
        """Start the worker."""
        self._node = node
        self._mailbox = mailbox
        self._problems = problems
        self._handlers = handlers
        self._epoch = 0  # counts resets; answers to frames of an older epoch are not published
        self._acknowledgements: Publisher | None = None
        self._worker: Worker[tuple[int, AssembledFrame]] = Worker(self._work, name=f"{node.get_name()}_worker")
        self.counts: Counter[str] = Counter()

    def open(self) -> None:
        """Acknowledge images from now on."""
        self._acknowledgements = self._node.create_publisher(Header, PROCESSED_TOPIC, reliable(100))

    def close(self) -> None:
        """Forget what is under way and acknowledge no more."""
        self.forget()
        if self._acknowledgements is not None:
            self._node.destroy_publisher(self._acknowledgements)
            self._acknowledgements = None

    def stop(self) -> None:
        """End the worker after what it is doing now."""
        self._worker.stop()

    def submit(self, job: Callable[[], ResultT]) -> Future[ResultT]:
        """Have the worker do a job between two frames."""
        return self._worker.submit(job)

    def forget(self) -> None:
        """Drop waiting frames, and do not publish the answer to the one being processed."""
        self._epoch += 1
        for _, frame in self._worker.take_back():
            self.acknowledge(frame.frame.stamp_ns)

    def take(self, frame: AssembledFrame) -> None:
        """Hand a complete frame to the worker unless it is not due."""
        if not self._handlers.is_due(frame):
            self.counts["frames not due"] += 1
            self.acknowledge(frame.frame.stamp_ns)
            return
        replaced = self._worker.offer((self._epoch, frame))
        if replaced is not None:
            self.counts["frames skipped because a newer one came"] += 1
            self.acknowledge(replaced[1].frame.stamp_ns)

    def acknowledge(self, stamp_ns: int) -> None:
        """Tell whoever waits that an image is done with."""
        if self._acknowledgements is not None:
            self._acknowledgements.publish(header(stamp_ns, self._node.get_fully_qualified_name()))

    def _work(self, item: tuple[int, AssembledFrame]) -> Report:
        """Process a frame; in the worker. Returns the call that hands over the answer."""
        epoch, frame = item
        try:
            publish = self._handlers.process(frame)
        except XoverError as error:
            publish = self._reporter("frame refused", f"frame dropped: {error}")
        except Exception:
            text = f"internal error, frame dropped; please report this:\n{traceback.format_exc()}"
            publish = self._reporter("internal error", text)
        return lambda: self._mailbox.post(lambda: self._finish(epoch, frame, publish))

    def _reporter(self, kind: str, sentence: str) -> Publish:
        return lambda: self._problems.report(kind, sentence)

    def _finish(self, epoch: int, frame: AssembledFrame, publish: Publish) -> None:
        """Publish an answer unless the world has moved on meanwhile."""
        if epoch == self._epoch:
            self.counts["frames processed"] += 1
            publish()
        self.acknowledge(frame.frame.stamp_ns)
