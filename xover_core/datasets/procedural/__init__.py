# SPDX-License-Identifier: Apache-2.0
"""Procedural apartments: furnished rooms drawn from a seed, rendered to colour and depth, with truth for everything.

The demo, the test fixture and the training ground. Importing this package loads torch.
"""

from xover_core.datasets.procedural.apartment import Apartment, make_apartment, make_lookalike_apartment
from xover_core.datasets.procedural.apartment_walk import DEFAULT_INTRINSICS, ApartmentWalk
from xover_core.datasets.procedural.bounds import ObjectBoxes, object_boxes
from xover_core.datasets.procedural.camera_walk import Walk, plan_walk
from xover_core.datasets.procedural.floorplan import Floorplan, draw_floorplan
from xover_core.datasets.procedural.meshes import TriangleMesh, join_meshes, object_mesh
from xover_core.datasets.procedural.odometry_drift import OdometryDrift, drifting_odometry
from xover_core.datasets.procedural.rearrangement import ObjectMove
from xover_core.datasets.procedural.renderer import RenderedView, Renderer
from xover_core.datasets.procedural.robot_driver import RobotSettings
from xover_core.datasets.procedural.scene import ObjectClass, RoomType
from xover_core.datasets.procedural.sensor_noise import SensorNoise, sense_color, sense_depth
from xover_core.datasets.procedural.sentences import Sentence, describe_room

__all__ = [
    "DEFAULT_INTRINSICS",
    "Apartment",
    "ApartmentWalk",
    "Floorplan",
    "ObjectBoxes",
    "ObjectClass",
    "ObjectMove",
    "OdometryDrift",
    "RenderedView",
    "Renderer",
    "RobotSettings",
    "RoomType",
    "SensorNoise",
    "Sentence",
    "TriangleMesh",
    "Walk",
    "describe_room",
    "draw_floorplan",
    "drifting_odometry",
    "join_meshes",
    "make_apartment",
    "make_lookalike_apartment",
    "object_boxes",
    "object_mesh",
    "plan_walk",
    "sense_color",
    "sense_depth",
]
