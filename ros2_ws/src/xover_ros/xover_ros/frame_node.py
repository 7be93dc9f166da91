# SPDX-License-Identifier: Apache-2.0
"""What localizer and mapper share: lifecycle, parameters, inputs, clock, diagnostics."""

from __future__ import annotations

import abc
import traceback
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future

from xover_core.errors import XoverError
from xover_core.geometry.transform_buffer import TransformBuffer
from xover_core.sensors.assembly import AssembledFrame
from xover_ros.diagnostics import ERROR, OK, DiagnosticsPublisher, StatusLine, stream_status
from xover_ros.frame_inputs import FrameInputs, InputHandlers, PoseSources
from xover_ros.frame_pipeline import FrameHandlers, FramePipeline, Publish
from xover_ros.lifecycle_bond import start_bond
from xover_ros.mailbox import Mailbox
from xover_ros.node_settings import InputSettings
from xover_ros.parameters import NodeParameters
from xover_ros.pose_inputs import PoseInput
from xover_ros.problem_log import ProblemLog

SettingsT = TypeVar("SettingsT", bound=InputSettings)


class FrameNode(LifecycleNode, Generic[SettingsT], abc.ABC):
    """A lifecycle node that processes frames in one worker thread.

    Everything runs in the thread that spins the node, except `_load`, `_process` and `_unload`, which run in the
    worker.
    """

    def __init__(self, name: str, defaults: SettingsT, core_groups: Iterable[str], live: frozenset[str]) -> None:
        """Make an unconfigured node.

        Args:
            name: of the node, unless remapped.
            defaults: the node's own settings.
            core_groups: the groups of `XoverSettings` that this node uses.
            live: parameters and groups that may change while the node is configured.

        Raises:
            ConfigError: a parameter given by the user is refused.
        """
        super().__init__(name, automatically_declare_parameters_from_overrides=True)
        self._live = live
        self._mailbox = Mailbox(self)
        self._problems = ProblemLog(lambda sentence: self.get_logger().warning(sentence))
        self._declared = NodeParameters(self, defaults, core_groups)
        self._settings, self._core_settings = self._declared.read()
        for sentence in self._declared.report_unknown():
            self.get_logger().warning(sentence)
        self._declared.on_change(self._refuse_change, lambda: self._mailbox.post(self._take_over_parameters))
        self._pipeline: FramePipeline | None = None  # while configured
        self._inputs: FrameInputs | None = None  # while active
        self._pose_input: PoseInput | None = None
        self._end_bond: Callable[[], None] = lambda: None
        self._failure = ""
        self.finished = Future()  # never by itself: a service runs until it is stopped
        self.exit_code = 0
        self._refuse_impossible_transitions()
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self._on_clock_jump)
        self._diagnostics = DiagnosticsPublisher(self, self._collect_status)

    # What the two nodes fill in.

    @abc.abstractmethod
    def _load(self) -> None:
        """Load what frames are processed with; in the worker. XoverError leaves the node unconfigured."""

    @abc.abstractmethod
    def _unload(self) -> None:
        """Free what `_load` loaded, all or part of it; in the worker."""

    @abc.abstractmethod
    def _process(self, frame: AssembledFrame) -> Publish:
        """Process a frame in the worker; returns the call that publishes the answer. XoverError drops the frame."""

    @abc.abstractmethod
    def _is_due(self, frame: AssembledFrame) -> bool:
        """Whether to process a frame at all."""

    @abc.abstractmethod
    def _make_sources(self, transforms: TransformBuffer) -> PoseSources:
        """The sources of poses."""

    @abc.abstractmethod
    def _make_pose_input(self, sources: PoseSources, on_pose: Callable[[], None]) -> PoseInput | None:
        """The subscription that feeds the sources; None when all poses come by TF."""

    @abc.abstractmethod
    def _begin(self) -> None:
        """Make publishers and timers of the active state."""

    @abc.abstractmethod
    def _end(self) -> None:
        """Take them away."""

    @abc.abstractmethod
    def _handle_time_jump(self) -> None:
        """Forget what depends on time; inputs and pipeline have done so."""

    @abc.abstractmethod
    def _describe_work(self) -> StatusLine:
        """Status of the work itself."""

    @abc.abstractmethod
    def _apply_settings(self) -> None:
        """Put settings that have changed while configured into effect."""

    # Lifecycle.

    def autostart(self) -> None:
        """Configure and activate, if the parameter `autostart` says so."""
        if self._settings.autostart and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Shut down in order, whatever the state, when the process ends."""
        if self._state_machine.current_state[0] != State.PRIMARY_STATE_FINALIZED:
            self.trigger_shutdown()

    @property
    def is_active(self) -> bool:
        """Whether frames are processed."""
        return self._inputs is not None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Load map and models."""
        return self._transition("configure", self._configure, undo=self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, process, publish."""
        super().on_activate(state)
        return self._transition("activate", self._activate, undo=self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; the belief stays."""
        super().on_deactivate(state)
        return self._transition("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Free what configure loaded."""
        return self._transition("clean up", self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Free everything."""
        return self._transition("shut down", self._clean_up)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Free everything, so that the node is unconfigured and can be configured again."""
        return self._transition("recover", self._clean_up)

    def _refuse_impossible_transitions(self) -> None:
        """Answer requests for transitions that the present state does not have with "no".

        rclpy raises out of its service callback instead, and whoever has asked waits for ever.
        """
        service = self._service_change_state
        change_state = service.callback

        def answer(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            try:
                return change_state(request, response)
            except rclpy_implementation.RCLError as error:
                self.get_logger().warning(f"refused a transition: {error}")
                response.success = False
                return response

        service.callback = answer

    def _transition(
        self, name: str, step: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        """Do a step; an expected error makes it fail with one sentence, an unknown one with its traceback."""
        self._failure = ""
        try:
            step()
        except XoverError as error:
            self._failure = f"cannot {name}: {error}"
            self.get_logger().error(self._failure)
            if undo is not None:
                undo()
            return TransitionCallbackReturn.FAILURE
        except Exception:  # rclpy would swallow it without a word
            self._failure = f"cannot {name}: internal error, see the log"
            self.get_logger().error(f"cannot {name}: internal error; please report this:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._settings, self._core_settings = self._declared.read()
        handlers = FrameHandlers(is_due=self._is_due, process=self._process)
        self._pipeline = FramePipeline(self, self._mailbox, self._problems, handlers)
        self._pipeline.submit(self._load).result()

    def _activate(self) -> None:
        pipeline = self._configured_pipeline()
        self._begin()
        pipeline.open()
        transforms = TransformBuffer()
        sources = self._make_sources(transforms)
        handlers = InputHandlers(
            on_frame=pipeline.take, on_dropped=pipeline.acknowledge, on_time_jump=self._on_time_jump
        )
        self._inputs = FrameInputs(
            self, self._settings, self._problems, handlers, transforms=transforms, sources=sources
        )
        self._pose_input = self._make_pose_input(sources, self._inputs.advance)
        if self._pose_input is not None:
            self._inputs.add_monitor(self._pose_input.monitor)
        self._end_bond = start_bond(self)

    def _deactivate(self) -> None:
        if self._inputs is None:
            return
        self._end_bond()
        if self._pose_input is not None:
            self._pose_input.destroy()
        self._inputs.destroy()
        self._inputs = self._pose_input = None
        self._configured_pipeline().close()
        self._end()

    def _clean_up(self) -> None:
        self._deactivate()
        self._free()

    def _free(self) -> None:
        """Free what `_configure` has made, all or part of it."""
        if self._pipeline is not None:
            self._pipeline.submit(self._unload).result()
            self._pipeline.stop()
            self._pipeline = None

    def _configured_pipeline(self) -> FramePipeline:
        """The pipeline, where the lifecycle guarantees that there is one."""
        if self._pipeline is None:
            raise RuntimeError("the node is not configured")
        return self._pipeline

    # Time.

    def _on_clock_jump(self, jump: TimeJump) -> None:
        if self._inputs is not None and jump.delta.nanoseconds < 0:
            self._inputs.clear()
            self._on_time_jump()

    def _on_time_jump(self) -> None:
        """Stamps or clock went back: a looped or seeked bag, or a restarted simulation."""
        self._configured_pipeline().forget()
        self._problems.report("time went back", "time went back (a looped or seeked bag?); the buffers were cleared.")
        self._handle_time_jump()

    # Parameters.

    def _refuse_change(self, name: str) -> str | None:
        if self._pipeline is None or name in self._live or name.split(".")[0] in self._live:
            return None
        return f"parameter {name!r} takes effect when the node is configured; deactivate it and clean it up first."

    def _take_over_parameters(self) -> None:
        self._settings, self._core_settings = self._declared.read()
        if self._pipeline is not None:
            self._apply_settings()

    # Diagnostics.

    def _collect_status(self) -> list[StatusLine]:
        state = "active" if self._inputs else "inactive" if self._pipeline else "unconfigured"
        level = ERROR if self._failure else OK
        lines = [StatusLine(name="lifecycle", level=level, message=self._failure or state, values={"state": state})]
        lines.append(self._describe_work())
        counts: dict[str, object] = dict(self._pipeline.counts) if self._pipeline else {}
        lines.append(StatusLine(name="frames", level=OK, message="", values={**counts, **self._problems.counts}))
        if self._inputs is not None:
            lines += self._describe_inputs(self._inputs)
        return lines

    def _describe_inputs(self, inputs: FrameInputs) -> list[StatusLine]:
        """Status of each stream; silent ones are reported in the log as well."""
        timeout_s = self._settings.input_timeout_s
        needed = [stream_status(monitor, timeout_s) for monitor in inputs.monitors]
        for line in needed:
            if line.level == ERROR:
                self._problems.report("silent input", line.message)
        return [*needed, stream_status(inputs.tf_monitor, timeout_s, is_needed=False)]
