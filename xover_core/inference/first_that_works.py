# SPDX-License-Identifier: Apache-2.0
"""Of several ways to run a network the first that works, with a line for each that does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.graph_border import read_lengths
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Arrays, Session, SessionInfo, TensorSpec

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to run a network.

    Attributes:
        name: of the backend and where it runs, for messages.
        make: makes the session; BackendUnavailableError or ModelError where it cannot.
        is_extra: that it is missing is no news.
    """

    name: str
    make: Callable[[], Session]
    is_extra: bool = False


class FirstThatWorks:
    """Implements `Session` by the first candidate that can be made and that runs the first inputs."""

    def __init__(self, graph: ModelGraph, candidates: Sequence[Candidate]) -> None:
        """Make the first that can be made.

        Args:
            graph: of the network.
            candidates: fastest first.

        Raises:
            BackendUnavailableError: none can be made.
            ModelError: the same, and the last one could not because of the model's files.
        """
        self._graph = graph
        self._rest = list(candidates)
        self._has_run = False
        self._failures: list[BackendUnavailableError | ModelError] = []
        self._session = self._next()

    @property
    def info(self) -> SessionInfo:
        """See `Session.info`; may change at the first run, when a library refuses the network only then."""
        return self._session.info

    @property
    def working(self) -> Session | None:
        """The session that has run; None before the first run."""
        return self._session if self._has_run else None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """See `Session.inputs`."""
        return self._graph.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """See `Session.outputs`."""
        return self._graph.outputs

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See `Session.run`.

        Raises:
            BackendUnavailableError: no candidate runs the first inputs, or the one that did fails later.
        """
        if self._has_run:
            return self._session.run(inputs)
        read_lengths(self._graph, inputs)  # wrong inputs are no candidate's fault
        while True:
            try:
                outputs = self._session.run(inputs)
            except (BackendUnavailableError, ModelError) as error:
                self._note(error)
                self._session = self._next()
            else:
                self._has_run = True
                self._rest.clear()  # they may hold a model's file
                return outputs

    def _next(self) -> Session:
        """The session of the next candidate that can be made, and a line that says so."""
        while self._rest:
            candidate = self._rest.pop(0)
            try:
                session = candidate.make()
            except (BackendUnavailableError, ModelError) as error:
                if candidate.is_extra:
                    _tell(logging.INFO, f"network {self._graph.name!r}: not by {candidate.name}: {error}")
                else:
                    self._note(error)
                continue
            self._report(session.info)
            return session
        # torch comes last, and a file that it cannot read is what has to be mended
        kind = ModelError if self._failures and isinstance(self._failures[-1], ModelError) else BackendUnavailableError
        raise kind(f"network {self._graph.name!r}: nothing here can run it: {self._all_failures()}")

    def _note(self, error: BackendUnavailableError | ModelError) -> None:
        """Remember a failure; where nothing works, the same one comes with every frame."""
        if str(error) not in map(str, self._failures):
            self._failures.append(error)

    def _all_failures(self) -> str:
        return " ".join(map(str, self._failures))

    def _report(self, info: SessionInfo) -> None:
        """Say what runs the network and why; loudly where something should have run it that does not."""
        line = (
            f"network {self._graph.name!r}: run by {info.library} on {info.device} in {info.precision}, {info.reason}"
        )
        if self._failures:
            _tell(logging.WARNING, f"{line}; {self._all_failures()}")
        else:
            _tell(logging.INFO, line)


@cache
def _tell(level: int, line: str) -> None:
    """Log a line, once in a process: the same network may be made several times."""
    _LOGGER.log(level, "%s", line)
