# SPDX-License-Identifier: Apache-2.0
"""What all sessions share: they know their graph, and check what goes in and what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray

from xover_core.errors import BackendUnavailableError, XoverError
from xover_core.inference.graph_border import Lengths, check_outputs, read_lengths
from xover_core.inference.libraries import one_line
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Arrays, SessionInfo, TensorSpec


class GraphSession(ABC):
    """Implements `Session`, but for what a library does."""

    def __init__(self, graph: ModelGraph, info: SessionInfo) -> None:
        """Take what is known of the network and of what runs it."""
        self._graph = graph
        self._info = info

    @property
    def info(self) -> SessionInfo:
        """See `Session.info`."""
        return self._info

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
            BackendUnavailableError: the library fails at these inputs, or gives something else than the graph says.
        """
        lengths = read_lengths(self._graph, inputs)
        try:
            outputs = self._compute(inputs, lengths)
        except XoverError:
            raise
        # what libraries raise has no root of its own
        except Exception as error:
            raise BackendUnavailableError(
                f"network {self._graph.name!r}: {self._info.library} cannot run it, {one_line(error)}; set"
                " inference.backend to another one."
            ) from error
        check_outputs(self._graph, lengths, outputs, self._info.library)
        return outputs

    @abstractmethod
    def _compute(self, inputs: Arrays, lengths: Lengths) -> dict[str, NDArray[Any]]:
        """Outputs by name for checked inputs; may raise anything."""
