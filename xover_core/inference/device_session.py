# SPDX-License-Identifier: Apache-2.0
"""Sessions whose inputs and outputs can stay on their device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from xover_core.inference.session import SessionInfo

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class DeviceSession(Protocol):
    """A `Session` that also takes and gives tensors of torch. Not thread-safe."""

    @property
    def info(self) -> SessionInfo:
        """What runs it."""
        ...

    def run_tensors(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Compute all outputs without a copy to or from the processor.

        Args:
            inputs: in the order of `Session.inputs`, of their types and shapes, which nobody checks.

        Returns:
            In the order of `Session.outputs`, on the session's device; the caller's, and not written to again.
        """
        ...
