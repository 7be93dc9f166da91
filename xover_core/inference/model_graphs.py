# SPDX-License-Identifier: Apache-2.0
"""From a model's name to its graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xover_core.errors import ConfigError, ModelError
from xover_core.inference import compact_graph, light_graphs, locus_graph
from xover_core.inference.architecture_graphs import ARCHITECTURES, architecture_graph
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import ModelEntry, model_entry

Size = tuple[int, int] | None


def graphs_of(name: str, size: Size = None) -> tuple[ModelGraph, ...]:
    """All networks of a model; nothing is computed yet, and torch is not loaded before a graph's `module` is called.

    Args:
        name: of a model of the manifests, or one of `ARCHITECTURES`.
        size: (height, width) of pictures, px; None for any.

    Raises:
        ModelError: unknown model, one that is no network, or weights that are missing or damaged.
        BackendUnavailableError: one of `ARCHITECTURES`, without torch or transformers.
        ConfigError: a size that does not fit the network.
    """
    if name in ARCHITECTURES:
        return (architecture_graph(name, size),)
    entry = model_entry(name)
    if entry.kind not in _MAKERS:
        raise ModelError(f"model {name!r}: of kind {entry.kind!r}, which is no network; nothing to run or to export.")
    return _MAKERS[entry.kind](entry, size)


def _compact(entry: ModelEntry, size: Size) -> tuple[ModelGraph, ...]:
    return (compact_graph.compact_graph_of(entry.name, size),)


def _locus(entry: ModelEntry, size: Size) -> tuple[ModelGraph, ...]:
    return (locus_graph.locus_graph_of(entry.name, size),)


def _light(entry: ModelEntry, size: Size) -> tuple[ModelGraph, ...]:
    if size is not None:
        raise ConfigError(f"model {entry.name!r}: its networks take no pictures of a given size; leave the size out.")
    return light_graphs.light_graphs_of(entry.name)


_MAKERS: Mapping[str, Callable[[ModelEntry, Size], tuple[ModelGraph, ...]]] = {
    compact_graph.KIND: _compact,
    locus_graph.KIND: _locus,
    light_graphs.KIND: _light,
}
