# SPDX-License-Identifier: Apache-2.0
"""What wheel or visual odometry makes of a true drive: a smooth track that wanders off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xover_core.errors import DatasetError
from xover_core.geometry.transforms import invert, make_pose
from xover_core.types import Float64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class OdometryDrift:
    """Planar drift, drawn anew for each drive; all zero gives perfect odometry from another origin.

    Attributes:
        translation_noise: standard deviation of the distance driven, m per square root of m.
        sideways_noise: the same across the direction of travel.
        rotation_noise: standard deviation of heading, rad per square root of rad turned.
        heading_noise: standard deviation of heading, rad per square root of m driven.
        scale_bias: standard deviation of a constant factor on distance (1 = 100 %).
        heading_bias: standard deviation of a constant turn, rad per m driven.
        turn_scale_bias: standard deviation of a constant factor on turns.
        origin_range: the track starts at a place this far from 0 at most, m, with any heading.
    """

    translation_noise: float = 0.01
    sideways_noise: float = 0.004
    rotation_noise: float = 0.012
    heading_noise: float = 0.006
    scale_bias: float = 0.01
    heading_bias: float = 0.003
    turn_scale_bias: float = 0.006
    origin_range: float = 10.0

    def __post_init__(self) -> None:
        """Check that no value is negative.

        Raises:
            DatasetError: one is.
        """
        values = (
            self.translation_noise, self.sideways_noise, self.rotation_noise, self.heading_noise, self.scale_bias,
            self.heading_bias, self.turn_scale_bias, self.origin_range,
        )  # fmt: skip
        if min(values) < 0:
            raise DatasetError(f"OdometryDrift: expected values of at least 0, got {values}.")


def drifting_odometry(T_map_base: Float64Array, drift: OdometryDrift, seed: int) -> Float64Array:
    """Give (N, 4, 4) T_odom_base for a true drive (N, 4, 4); each step of the truth is measured with error.

    The error grows with the distance driven and the angle turned, not with time: a robot that stands does not drift.
    """
    rng = np.random.default_rng([seed, 13])
    distance_factor = 1 + rng.normal(0, drift.scale_bias)
    turn_factor = 1 + rng.normal(0, drift.turn_scale_bias)
    turn_per_metre = rng.normal(0, drift.heading_bias)
    start = rng.uniform(-drift.origin_range, drift.origin_range, 2)
    pose = _planar_pose(start[0], start[1], rng.uniform(-math.pi, math.pi))
    poses = [pose]
    for before, after in pairwise(T_map_base):
        motion = invert(before) @ after
        x, y, turn = motion[0, 3], motion[1, 3], math.atan2(motion[1, 0], motion[0, 0])
        root_length, root_turn = math.sqrt(math.hypot(x, y)), math.sqrt(abs(turn))
        x = x * distance_factor + rng.normal(0, drift.translation_noise) * root_length
        y = y * distance_factor + rng.normal(0, drift.sideways_noise) * root_length
        noise = rng.normal(0, drift.rotation_noise) * root_turn + rng.normal(0, drift.heading_noise) * root_length
        turn = turn * turn_factor + turn_per_metre * root_length**2 + noise
        pose = pose @ _planar_pose(x, y, turn)
        poses.append(pose)
    return np.stack(poses)


def _planar_pose(x: float, y: float, yaw: float) -> Float64Array:
    c, s = math.cos(yaw), math.sin(yaw)
    return make_pose(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]), (x, y, 0.0))
