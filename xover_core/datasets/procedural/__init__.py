# SPDX-License-Identifier: Apache-2.0
"""Procedural apartments: furnished rooms drawn from a seed, rendered to colour and depth, with truth for everything.

The demo, the test fixture and the training ground. Importing this package loads torch.
"""

from xover_core.datasets.procedural.apartment import Apartment, make_apartment, make_lookalike_apartment
from xover_core.datasets.procedural.apartment_walk import DEFAULT_INTRINSICS, ApartmentWalk
from xover_core.datasets.procedural.camera_walk import RobotSettings, Walk, plan_walk
from xover_core.datasets.procedural.odometry_drift import OdometryDrift, drifting_odometry
from xover_core.datasets.procedural.renderer import RenderedView, Renderer
from xover_core.datasets.procedural.scene import ObjectClass, RoomType
from xover_core.datasets.procedural.sensor_noise import SensorNoise, sense_color, sense_depth

__all__ = [
    "DEFAULT_INTRINSICS",
    "Apartment",
    "ApartmentWalk",
    "ObjectClass",
    "OdometryDrift",
    "RenderedView",
    "Renderer",
    "RobotSettings",
    "RoomType",
    "SensorNoise",
    "Walk",
    "drifting_odometry",
    "make_apartment",
    "make_lookalike_apartment",
    "plan_walk",
    "sense_color",
    "sense_depth",
]
