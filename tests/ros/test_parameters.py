# SPDX-License-Identifier: Apache-2.0
"""Settings as ROS parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from xover_ros.node_settings import (
    LOCALIZER_CORE_GROUPS,
    MAPPER_CORE_GROUPS,
    BagPlayerSettings,
    LocalizerNodeSettings,
    MapperNodeSettings,
)
from xover_ros.parameters import SHORT_NAMES, NodeParameters

from xover_core.config import XoverSettings
from xover_core.config_io import flatten
from xover_core.errors import ConfigError

MakeNode = Callable[..., Node]


@pytest.fixture
def make_node() -> Iterator[MakeNode]:
    """A node with the values that a user would give on the command line."""
    context = Context()
    rclpy.init(context=context)
    nodes = []

    def make(**given: object) -> Node:
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in given.items()]
        node = Node(
            "test",
            context=context,
            parameter_overrides=overrides,
            automatically_declare_parameters_from_overrides=True,
        )
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_defaults_are_those_of_the_settings(make_node: MakeNode) -> None:
    own, core = NodeParameters(make_node(), LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS).read()
    assert own == LocalizerNodeSettings()
    assert core == XoverSettings()


def test_together_the_nodes_declare_every_setting_of_the_core(make_node: MakeNode) -> None:
    node = make_node()
    NodeParameters(node, LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS)
    mapper = make_node()
    NodeParameters(mapper, MapperNodeSettings(), MAPPER_CORE_GROUPS)
    for key, _, _ in flatten(XoverSettings()):
        name = SHORT_NAMES.get(key, key)
        assert node.has_parameter(name) or mapper.has_parameter(name), key


def test_each_parameter_has_type_text_and_range(make_node: MakeNode) -> None:
    node = make_node()
    NodeParameters(node, LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS)
    for name in node.get_parameters_by_prefix(""):
        if name not in ("use_sim_time", "start_type_description_service"):
            descriptor = node.describe_parameter(name)
            assert descriptor.description, name
            assert descriptor.type != ParameterType.PARAMETER_NOT_SET, name
    ratio = node.describe_parameter("decision.min_probability").floating_point_range[0]
    assert (ratio.from_value, ratio.to_value) == (0.0, 1.0)
    assert node.describe_parameter("solver.min_inliers").integer_range[0].from_value == 4
    assert node.describe_parameter("image_reliability").additional_constraints == "one of best_effort, reliable"


def test_given_values_reach_both_trees_under_their_names(make_node: MakeNode) -> None:
    node = make_node(update_min_d=0.5, decision__min_probability=0.8, model="rootsift-pca64")
    own, core = NodeParameters(node, LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS).read()
    assert (own.update_min_d, core.decision.min_probability) == (0.5, 0.8)
    assert core.encoder.model == "rootsift-pca64"


def test_a_whole_number_is_taken_where_a_number_is_wanted(make_node: MakeNode) -> None:
    own, _ = NodeParameters(make_node(rate=2), BagPlayerSettings()).read()
    assert own.rate == 2.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("decision__min_probability", 1.5), ("update_min_d", "far"), ("image_reliability", "sometimes")],
)
def test_a_wrong_value_is_refused_with_its_name(make_node: MakeNode, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name.rpartition("__")[2]):
        NodeParameters(make_node(**{name: value}), LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS)


def test_unknown_keys_are_reported_with_the_nearest_known_one(make_node: MakeNode) -> None:
    node = make_node(decision__min_probabilty=0.8, encoder__model="rootsift-pca64", nonsense=1)
    declared = NodeParameters(node, LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS)
    assert declared.unknown == {
        "decision.min_probabilty": "decision.min_probability",
        "encoder.model": "model",
        "nonsense": "",
    }
    assert "did you mean 'decision.min_probability'" in "\n".join(declared.report_unknown())
    assert not node.has_parameter("nonsense")


def test_changes_are_checked_and_refused_with_a_reason(make_node: MakeNode) -> None:
    node, accepted = make_node(), []
    declared = NodeParameters(node, LocalizerNodeSettings(), LOCALIZER_CORE_GROUPS)
    declared.on_change(lambda name: "not now" if name == "map_file" else None, lambda: accepted.append(1))

    def change(name: str, value: object) -> str:
        result = node.set_parameters([Parameter(name, value=value)])[0]
        return "" if result.successful else result.reason

    assert change("update_min_d", 0.7) == ""
    assert declared.read()[0].update_min_d == 0.7
    assert accepted == [1]
    assert change("map_file", "/other") == "not now"
    assert change("decision.min_probability", 2.0) != ""
    assert "one of" in change("rgb_transport", "carrier pigeon")
    assert change("publish_tf", "yes") != ""
    assert declared.read()[1].decision.min_probability == XoverSettings().decision.min_probability
    assert accepted == [1]
