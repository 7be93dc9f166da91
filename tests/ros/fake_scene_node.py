# SPDX-License-Identifier: Apache-2.0
"""Run a node with a fake scene encoder: `python fake_scene_node.py xover_ros.mapper_node --ros-args ...`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

MODEL = "fake-scenes"


def main() -> int:
    """Put the fake in place before the node's modules are loaded; returns the exit code."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
    from fake_scene_encoder import FakeSceneEncoder

    from xover_core.encoders import scene_factory
    from xover_core.localization import scene_calibration
    from xover_core.localization.scene_calibration import SceneCalibration, fallback_calibration

    scene_factory.make_scene_encoder = lambda settings, *_: FakeSceneEncoder() if settings.model else None
    scene_calibration.load_scene_calibration = lambda _, settings: SceneCalibration(
        pairs={}, fallback=fallback_calibration(settings)
    )
    module = sys.argv.pop(1)
    return int(importlib.import_module(module).main())


if __name__ == "__main__":
    sys.exit(main())
