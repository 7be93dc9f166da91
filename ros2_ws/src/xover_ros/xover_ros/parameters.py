# SPDX-License-Identifier: Apache-2.0
"""Settings trees as ROS parameters: declared with type, range and text, checked before a change is applied."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from xover_core.config import Settings, XoverSettings
from xover_core.config_io import flatten, override
from xover_core.errors import ConfigError

# core settings that have a short name at other localizers: core key -> parameter
SHORT_NAMES = {
    "encoder.model": "model",
    "mapping.map_budget_mb": "map_budget_mb",
    "inference.backend": "backend",
    "inference.device": "device",
}
_MAX_INT64 = 2**63 - 1
_ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides.")

NodeSettingsT = TypeVar("NodeSettingsT", bound=Settings)


class NodeParameters(Generic[NodeSettingsT]):
    """Declares a node's own settings and some groups of the core's, and reads both back.

    The node must have been made with `automatically_declare_parameters_from_overrides=True`: that is how keys of a
    parameter file that belong to nothing can be told.

    Attributes:
        unknown: keys given by the user that this node does not know, with the nearest known name or "".
    """

    def __init__(self, node: Node, defaults: NodeSettingsT, core_groups: Iterable[str] = ()) -> None:
        """Declare everything.

        Args:
            node: whose parameters these are.
            defaults: the node's own settings.
            core_groups: groups and single keys of `XoverSettings` to declare, for example `decision`, `random_seed`.

        Raises:
            ConfigError: a value given by the user is refused.
        """
        self._node = node
        self._node_defaults = defaults
        given = _take_overrides(node)
        self._core_defaults = XoverSettings()
        groups = frozenset(core_groups)
        self._node_keys = {key: spec for key, spec, _ in flatten(defaults)}
        self._core_keys = {  # parameter name -> (key in the tree, declaration)
            SHORT_NAMES.get(key, key): (key, spec)
            for key, spec, _ in flatten(self._core_defaults)
            if key in groups or key.split(".")[0] in groups
        }
        known = [*self._node_keys, *self._core_keys]
        self.unknown = {key: _nearest(key, known) for key in given if key not in known}
        self._declare({key: value for key, value in given.items() if key in known})

    def read(self) -> tuple[NodeSettingsT, XoverSettings]:
        """The settings as the parameters stand now."""
        return self._with_changes({})

    def on_change(self, refuse: Callable[[str], str | None], accepted: Callable[[], None]) -> None:
        """Check every later change.

        Args:
            refuse: given the name of a parameter, a sentence why it cannot change now, or None when it can.
            accepted: called when a change was found right, just before ROS makes it.
        """

        def check(changes: list[Parameter]) -> SetParametersResult:
            values = {p.name: p.value for p in changes if p.name in self._node_keys or p.name in self._core_keys}
            reason = next((text for name in values if (text := refuse(name))), None)
            try:
                if reason is None:
                    self._with_changes(values)
            except ConfigError as error:
                reason = str(error)
            if reason is None and values:
                accepted()
            return SetParametersResult(successful=reason is None, reason=reason or "")

        self._node.add_on_set_parameters_callback(check)

    def report_unknown(self) -> list[str]:
        """One sentence for each key that the user gave and nothing declares."""
        return [
            f"parameter {key!r} is not known to node {self._node.get_name()} and has no effect"
            + (f"; did you mean {nearest!r}?" if nearest else ".")
            for key, nearest in self.unknown.items()
        ]

    def _with_changes(self, changes: Mapping[str, Any]) -> tuple[NodeSettingsT, XoverSettings]:
        """Both trees with `changes`, by parameter name, over the present values; ConfigError when one is refused."""

        def value_of(name: str) -> Any:
            return changes[name] if name in changes else self._node.get_parameter(name).value

        node_values = {key: value_of(key) for key in self._node_keys}
        core_values = {key: value_of(name) for name, (key, _) in self._core_keys.items()}
        return override(self._node_defaults, node_values), override(self._core_defaults, core_values)

    def _declare(self, given: Mapping[str, Any]) -> None:
        """Declare all parameters with the value given for them, or their default."""
        core_given = {self._core_keys[name][0]: value for name, value in given.items() if name in self._core_keys}
        node_given = {name: value for name, value in given.items() if name in self._node_keys}
        node_values = {key: value for key, _, value in flatten(override(self._node_defaults, node_given))}
        core_values = {key: value for key, _, value in flatten(override(self._core_defaults, core_given))}
        rows = [(key, node_values[key], spec) for key, spec in self._node_keys.items()]
        rows += [(name, core_values[key], spec) for name, (key, spec) in self._core_keys.items()]
        for name, value, spec in rows:
            number = float(value) if isinstance(spec.default, float) else value
            self._node.declare_parameter(name, number, _descriptor(spec), ignore_override=True)


def _take_overrides(node: Node) -> dict[str, Any]:
    """Values that the user gave, by name; takes them out of the node again, so that they can be declared properly."""
    names = [name for name in node.get_parameters_by_prefix("") if not name.startswith(_ROS_OWN)]
    given = {name: node.get_parameter(name).value for name in names}
    for name in given:
        node.undeclare_parameter(name)
    return given


def _nearest(key: str, known: list[str]) -> str:
    """The known name that `key` was probably meant to be, or "" when none is near."""
    if key in SHORT_NAMES and SHORT_NAMES[key] in known:
        return SHORT_NAMES[key]
    return next(iter(difflib.get_close_matches(key, known, n=1)), "")


def _descriptor(spec: dataclasses.Field[Any]) -> ParameterDescriptor:
    """Describe a settings field to ROS: text, range, allowed values."""
    low, high, choices = (spec.metadata[key] for key in ("minimum", "maximum", "choices"))
    descriptor = ParameterDescriptor(description=spec.metadata["text"])
    if choices:
        descriptor.additional_constraints = f"one of {', '.join(choices)}"
    if isinstance(spec.default, float) and (low is not None or high is not None):
        limit = sys.float_info.max
        bounds = (-limit if low is None else float(low), limit if high is None else float(high))
        descriptor.floating_point_range = [FloatingPointRange(from_value=bounds[0], to_value=bounds[1])]
    elif isinstance(spec.default, int) and (low is not None or high is not None):
        bounds = (-_MAX_INT64 if low is None else int(low), _MAX_INT64 if high is None else int(high))
        descriptor.integer_range = [IntegerRange(from_value=bounds[0], to_value=bounds[1])]
    return descriptor
