# SPDX-License-Identifier: Apache-2.0
"""For which lengths of its axes an engine is built: those of the settings, or exactly those of the inputs that come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xover_core.errors import ConfigError
from xover_core.inference.graph_border import Lengths, Shapes, shapes_for
from xover_core.inference.model_graph import ModelGraph


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AxisRange:
    """Lengths of one axis.

    Attributes:
        name: as in the graph.
        least: shortest that the engine takes.
        usual: that it is made fastest for.
        most: longest that it takes.
    """

    name: str
    least: int
    usual: int
    most: int


Profile = tuple[AxisRange, ...]
"""All axes that may change, sorted by name."""


def parse_engine_axes(text: str) -> dict[str, AxisRange]:
    """Axes of the setting `inference.engine_axes`, such as `rows=30:30:60, cols=40:40:80`, by name.

    Raises:
        ConfigError: lengths that do not ascend from 1.
    """
    ranges = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        name, _, lengths = part.partition("=")
        least, usual, most = (int(length) for length in lengths.split(":"))
        if not 1 <= least <= usual <= most:
            raise ConfigError(
                f"setting inference.engine_axes: expected least, usual and most of {name} to ascend from 1,"
                f" got {lengths}."
            )
        ranges[name] = AxisRange(name=name, least=least, usual=usual, most=most)
    return ranges


def profile_for(lengths: Lengths, ranges: Mapping[str, AxisRange]) -> Profile:
    """The profile for inputs of these lengths.

    An axis has the range of the settings where that takes it in; another one has exactly its length, which is what an
    engine is fastest for.
    """
    profile = []
    for name, length in sorted(lengths.items()):
        given = ranges.get(name)
        if given is None or not given.least <= length <= given.most:
            given = AxisRange(name=name, least=length, usual=length, most=length)
        profile.append(given)
    return tuple(profile)


def profile_shapes(graph: ModelGraph, profile: Profile) -> tuple[Shapes, Shapes, Shapes]:
    """Least, usual and most shapes of all inputs by name."""
    least, usual, most = ({axis.name: getattr(axis, bound) for axis in profile} for bound in ("least", "usual", "most"))
    return shapes_for(graph.inputs, least), shapes_for(graph.inputs, usual), shapes_for(graph.inputs, most)
