# SPDX-License-Identifier: Apache-2.0
"""A graph with some of its outputs only: what the others need is not computed where a library can leave it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from xover_core.inference.model_graph import ModelGraph

if TYPE_CHECKING:
    from torch import nn


def select_outputs(graph: ModelGraph, names: Sequence[str]) -> ModelGraph:
    """The graph with the outputs of these names, in this order; its exported files stay what they are."""
    known = [spec.name for spec in graph.outputs]
    indices = [known.index(name) for name in names]
    return dataclasses.replace(
        graph,
        module=partial(_select, graph.module, indices),
        outputs=tuple(graph.outputs[index] for index in indices),
        # one level deeper than before
        reducible=tuple(f"network.{part}" for part in graph.reducible),
    )


def _select(module: Callable[[], nn.Module], indices: Sequence[int]) -> nn.Module:
    from xover_core.networks.selected_outputs import SelectedOutputs

    return SelectedOutputs(module(), indices).eval()
