# SPDX-License-Identifier: Apache-2.0
"""How the worker thread hands results back: calls that the executor's thread makes, so node state needs no locks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import rclpy.task
from rclpy.node import Node

ResultT = TypeVar("ResultT")


class Mailbox:
    """Calls posted by any thread, made in order by the thread that spins the node."""

    def __init__(self, node: Node) -> None:
        """Attach to a node."""
        self._node = node
        self._calls: deque[Callable[[], None]] = deque()
        self._guard = node.create_guard_condition(self._empty)

    def post(self, call: Callable[[], None]) -> None:
        """Have `call` made by the executor's thread; forgotten when the context has been shut down."""
        self._calls.append(call)
        if self._node.context.ok():
            self._guard.trigger()

    def awaitable(self, future: Future[ResultT]) -> rclpy.task.Future:
        """What a service callback can `await`: the result of a worker's job."""
        awaited = rclpy.task.Future(executor=self._node.executor)
        future.add_done_callback(lambda done: self.post(lambda: _copy_outcome(done, awaited)))
        return awaited

    def _empty(self) -> None:
        while self._calls:
            self._calls.popleft()()


def _copy_outcome(done: Future[Any], awaited: rclpy.task.Future) -> None:
    if done.cancelled():
        awaited.cancel()
    elif (error := done.exception()) is not None:
        awaited.set_exception(error)
    else:
        awaited.set_result(done.result())
