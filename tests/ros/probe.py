# SPDX-License-Identifier: Apache-2.0
"""A node inside of the test that looks at what the nodes under test do, and feeds them."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from xover_ros.qos import latched, reliable
from xover_ros.shared_memory import use_shared_memory_profile

TIMEOUT_S = 20.0
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


class Probe:
    """Collects messages, calls services, waits for things to happen."""

    def __init__(self) -> None:
        use_shared_memory_profile()
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = Node("probe", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        self._statuses: dict[str, DiagnosticStatus] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable())

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def collect(self, message_type: Any, topic: str, qos: QoSProfile | None = None) -> list[Any]:
        """A list that grows with every message."""
        messages: list[Any] = []
        self.node.create_subscription(message_type, topic, messages.append, qos or reliable(100))
        return messages

    def collect_latched(self, message_type: Any, topic: str) -> list[Any]:
        """The same, with what was published before."""
        return self.collect(message_type, topic, latched(100))

    def spin(self, seconds: float) -> None:
        """Let messages come in for a while."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=remaining)

    def wait_until(self, is_done: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Let messages come in until something is true; an AssertionError when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while not is_done():
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, service_type: Any, name: str, request: Any = None, timeout_s: float = TIMEOUT_S) -> Any:
        """Call a service and return its answer."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(service_type, name)
        self.wait_until(client.service_is_ready, f"service {name}")
        future = client.call_async(request if request is not None else service_type.Request())
        self.wait_until(future.done, f"answer of {name}", timeout_s)
        return future.result()

    def state_of(self, node: str) -> str:
        """Lifecycle state of a node."""
        return str(self.call(GetState, f"{node}/get_state").current_state.label)

    def change_state(self, node: str, transition: str) -> bool:
        """Ask a node for a transition; returns whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[transition]))
        return bool(self.call(ChangeState, f"{node}/change_state", request).success)

    def wait_for_state(self, node: str, state: str) -> None:
        """Wait until a node is in a lifecycle state."""
        deadline = time.monotonic() + TIMEOUT_S
        while (now := self.state_of(node)) != state:
            assert time.monotonic() < deadline, f"{node} is {now}, not {state}"
            self.spin(0.05)

    def set_parameter(self, node: str, name: str, value: object) -> str:
        """Change a parameter; returns the reason when it is refused, else an empty string."""
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        result = self.call(SetParameters, f"{node}/set_parameters", request).results[0]
        return "" if result.successful else result.reason or "refused without a reason"

    def status(self, name: str) -> DiagnosticStatus:
        """The next diagnostic status of that name, `localizer: frames`."""
        self.spin(0.1)  # through what has queued up since the last look
        self._statuses.pop(name, None)
        self.wait_until(lambda: name in self._statuses, f"diagnostics of {name}")
        return self._statuses[name]

    def values(self, name: str) -> dict[str, str]:
        """Key-value pairs of the next status of that name."""
        return {pair.key: pair.value for pair in self.status(name).values}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._statuses.update({status.name: status for status in message.status})
