# SPDX-License-Identifier: Apache-2.0
"""Launch files: described arguments, nodes and parameters that exist, Nav2's names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from fake_launch import Recorded, load_launch_file, of_kind
from xover_ros.node_settings import BagPlayerSettings, LocalizerNodeSettings, MapperNodeSettings

from xover_core.config_io import flatten

REPOSITORY = Path(__file__).resolve().parents[2]
SHARE = REPOSITORY / "ros2_ws" / "src" / "xover_ros"
LAUNCH_FILES = sorted((REPOSITORY / "launch").glob("*.launch.py"))
SETTINGS = {"localizer": LocalizerNodeSettings(), "mapper": MapperNodeSettings(), "bag_player": BagPlayerSettings()}
NAV2_ARGUMENTS = {"namespace", "map", "params_file", "use_sim_time", "autostart", "log_level"}
PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"


@pytest.fixture(params=LAUNCH_FILES, ids=lambda path: path.name)
def recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """Everything in the description of one launch file."""
    return load_launch_file(request.param, monkeypatch)


def _launch(name: str, monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    return load_launch_file(REPOSITORY / "launch" / f"{name}.launch.py", monkeypatch)


def _arguments(recorded: list[Recorded]) -> dict[str, Recorded]:
    return {item.args[0]: item for item in of_kind(recorded, "DeclareLaunchArgument")}


def _own_nodes(recorded: list[Recorded]) -> list[Recorded]:
    return [node for node in of_kind(recorded, "Node") if node.kwargs["package"] == "xover_ros"]


def test_there_are_these_launch_files() -> None:
    names = [path.name.removesuffix(".launch.py") for path in LAUNCH_FILES]
    assert names == ["localize", "map", "nav2_handoff", "replay"]


def test_every_argument_is_described(recorded: list[Recorded]) -> None:
    for name, argument in _arguments(recorded).items():
        assert len(argument.kwargs.get("description", "")) > 5, name


def test_every_argument_is_used_and_every_configuration_declared(recorded: list[Recorded]) -> None:
    used = {item.args[0] for item in of_kind(recorded, "LaunchConfiguration")}
    includes = bool(of_kind(recorded, "IncludeLaunchDescription"))
    assert used <= _arguments(recorded).keys()
    # an included launch file sees the arguments of the one that includes it
    assert includes or _arguments(recorded).keys() <= used


@pytest.mark.parametrize("name", ["localize", "map"])
def test_arguments_have_the_names_that_nav2_gives_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = _arguments(_launch(name, monkeypatch))
    assert arguments.keys() >= NAV2_ARGUMENTS
    assert "default_value" not in arguments["map"].kwargs
    assert arguments["autostart"].kwargs["default_value"] == "true"
    assert arguments["use_sim_time"].kwargs["default_value"] == "false"


def test_executables_and_parameters_exist(recorded: list[Recorded]) -> None:
    setup = (SHARE / "setup.py").read_text(encoding="utf-8")
    executables = set(re.findall(r'"(\w+) = xover_ros', setup))
    for node in _own_nodes(recorded):
        executable = node.kwargs["executable"]
        assert executable in executables
        if executable not in SETTINGS:
            continue
        known = {key for key, _, _ in flatten(SETTINGS[executable])} | {"use_sim_time"}
        given = {key for part in node.kwargs["parameters"] if isinstance(part, dict) for key in part}
        assert given <= known, executable


def test_remapped_names_are_those_that_the_nodes_use(recorded: list[Recorded]) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (SHARE / "xover_ros").glob("*.py"))
    for node in _own_nodes(recorded):
        for name, _ in node.kwargs["remappings"]:
            assert f'"{name}"' in sources, name


def test_files_of_the_package_exist(recorded: list[Recorded]) -> None:
    for path in of_kind(recorded, "PathJoinSubstitution"):
        package, *parts = path.args[0]
        assert package.args == ("xover_ros",)
        folder = "xover_ros/profiles" if parts[0] == "profiles" else parts[0]
        assert (SHARE / folder / parts[1]).is_file(), parts


@pytest.mark.parametrize("name", ["localize", "map"])
def test_the_shared_memory_profile_is_set_unless_the_user_has_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (setting,) = of_kind(_launch(name, monkeypatch), "SetEnvironmentVariable")
    variable, value = setting.args
    assert (variable, type(value).__name__, value.args) == (
        PROFILE_VARIABLE,
        "EnvironmentVariable",
        (PROFILE_VARIABLE,),
    )
    assert value.kwargs["default_value"].args[0][-1] == "fastdds_shared_memory.xml"


@pytest.mark.parametrize("name", ["localize", "map"])
def test_a_namespace_covers_the_nodes_and_tf(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = _launch(name, monkeypatch)
    (group,) = of_kind(recorded, "GroupAction")
    inside = group.args[0]
    assert type(inside[0]).__name__ == "PushRosNamespace"
    assert set(of_kind(recorded, "Node")) <= set(inside)
    for node in of_kind(recorded, "Node"):
        assert ("/tf", "tf") in node.kwargs["remappings"]
        assert ("/tf_static", "tf_static") in node.kwargs["remappings"]


def test_the_hand_off_leaves_the_transform_and_initialpose_to_the_other_localizer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = _launch("nav2_handoff", monkeypatch)
    (include,) = of_kind(recorded, "IncludeLaunchDescription")
    ((name, file),) = include.kwargs["launch_arguments"]
    overrides = yaml.safe_load((SHARE / "config" / file.args[0][-1]).read_text(encoding="utf-8"))
    assert (name, overrides) == ("overrides_file", {"/**/localizer": {"ros__parameters": {"publish_tf": False}}})
    (remap,) = of_kind(recorded, "SetRemap")
    assert remap.kwargs["src"] == "initialpose"
    # later files win, and the launch file's own arguments win over both
    (localizer,) = _own_nodes(_launch("localize", monkeypatch))
    files = [part.args[0] for part in localizer.kwargs["parameters"] if isinstance(part, Recorded)]
    assert files == ["params_file", "overrides_file"]


def test_the_mapper_gets_time_to_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    (mapper,) = _own_nodes(_launch("map", monkeypatch))
    assert float(mapper.kwargs["sigterm_timeout"]) >= 60


def test_replay_ends_with_the_bag(monkeypatch: pytest.MonkeyPatch) -> None:
    (handler,) = of_kind(_launch("replay", monkeypatch), "OnProcessExit")
    assert handler.kwargs["target_action"].kwargs["executable"] == "bag_player"
    assert type(handler.kwargs["on_exit"][0].kwargs["event"]).__name__ == "Shutdown"
