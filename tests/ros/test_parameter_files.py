# SPDX-License-Identifier: Apache-2.0
"""The parameter files that are shipped say what the settings say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from xover_ros.parameter_files import parameter_file

# resolve() follows the link through which colcon sees these tests
CONFIG = Path(__file__).resolve().parents[2] / "ros2_ws" / "src" / "xover_ros" / "config"
NODES = ("localizer", "mapper", "bag_player")


@pytest.mark.parametrize("node", NODES)
def test_the_file_is_up_to_date(node: str) -> None:
    text = (CONFIG / f"{node}.yaml").read_text(encoding="utf-8")
    assert text == parameter_file(node), "run: python -m xover_ros.parameter_files ros2_ws/src/xover_ros/config"


@pytest.mark.parametrize("node", NODES)
def test_the_file_is_what_ros_expects(node: str) -> None:
    tree = yaml.safe_load((CONFIG / f"{node}.yaml").read_text(encoding="utf-8"))
    assert list(tree) == [f"/**/{node}"]
    assert list(tree[f"/**/{node}"]) == ["ros__parameters"]
