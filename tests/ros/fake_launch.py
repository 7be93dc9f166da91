# SPDX-License-Identifier: Apache-2.0
"""Stands in for `launch` and `launch_ros`, which are not on PyPI: every class of theirs records its arguments."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# The part of the real interface that may be used: module -> names, as of Humble to Kilted.
INTERFACE = {
    "launch": ("LaunchDescription",),
    "launch.actions": (
        "DeclareLaunchArgument",
        "EmitEvent",
        "GroupAction",
        "IncludeLaunchDescription",
        "RegisterEventHandler",
        "SetEnvironmentVariable",
    ),
    "launch.conditions": ("IfCondition", "UnlessCondition"),
    "launch.event_handlers": ("OnProcessExit",),
    "launch.events": ("Shutdown",),
    "launch.launch_description_sources": ("PythonLaunchDescriptionSource",),
    "launch.substitutions": (
        "EnvironmentVariable",
        "LaunchConfiguration",
        "PathJoinSubstitution",
        "PythonExpression",
    ),
    "launch_ros": (),
    "launch_ros.actions": ("Node", "PushRosNamespace", "SetRemap"),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
    "launch_ros.substitutions": ("FindPackageShare",),
}


class Recorded:
    """An action or substitution: its class's name, and what it was given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def walk(self) -> Iterator[Recorded]:
        """This one and all inside it."""
        yield self
        for value in (*self.args, *self.kwargs.values()):
            yield from _walk(value)


def load_launch_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """Execute a launch file; returns everything in its description."""
    for name, classes in INTERFACE.items():
        module = ModuleType(name)
        for class_name in classes:
            setattr(module, class_name, type(class_name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    launch_file = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch_file)
    return list(launch_file.generate_launch_description().walk())


def of_kind(recorded: list[Recorded], name: str) -> list[Recorded]:
    """Those of one class."""
    return [item for item in recorded if type(item).__name__ == name]


def _walk(value: Any) -> Iterator[Recorded]:
    if isinstance(value, Recorded):
        yield from value.walk()
    elif isinstance(value, dict):
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _walk(item)
