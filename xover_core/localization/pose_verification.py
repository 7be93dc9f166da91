# SPDX-License-Identifier: Apache-2.0
"""Does the depth that the camera measures agree with the map, seen from the pose in question?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xover_core.config import VerificationSettings
from xover_core.geometry.camera import is_inside, project
from xover_core.geometry.depth import sample_depth
from xover_core.geometry.transforms import invert, transform_points
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array, Mat4


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthComparison:
    """Map points in the view, by what the camera measures where they should be.

    Attributes:
        num_agree: a surface at the right distance.
        num_see_through: a surface clearly behind the point; the camera looks through what the map says is solid.
        num_hidden: a surface clearly before it; an occlusion, something new, or a wrong pose.
    """

    num_agree: int
    num_see_through: int
    num_hidden: int

    @property
    def num_compared(self) -> int:
        """Points with a depth reading."""
        return self.num_agree + self.num_see_through + self.num_hidden

    @property
    def agreement(self) -> float:
        """Share that agrees; NaN when nothing could be compared."""
        return self.num_agree / self.num_compared if self.num_compared else float("nan")

    @property
    def see_through(self) -> float:
        """Share that is looked through; NaN when nothing could be compared."""
        return self.num_see_through / self.num_compared if self.num_compared else float("nan")


def compare_depth(
    points_map: Float64Array,
    T_map_camera: Mat4,
    depth: Float32Array,
    camera: CameraIntrinsics,
    settings: VerificationSettings,
) -> DepthComparison:
    """Project (N, 3) map points into the depth image and compare; NaN rows do not count."""
    points_camera = transform_points(invert(T_map_camera), points_map)
    pixels = project(points_camera, camera)
    seen = is_inside(pixels, camera.width, camera.height)
    expected = points_camera[seen, 2]
    measured = sample_depth(depth, pixels[seen])
    expected, measured = expected[measured > 0], measured[measured > 0]
    difference = measured - expected
    tolerance = np.maximum(settings.depth_tolerance, settings.depth_tolerance_relative * expected)
    return DepthComparison(
        num_agree=int(np.count_nonzero(np.abs(difference) <= tolerance)),
        num_see_through=int(np.count_nonzero(difference > tolerance)),
        num_hidden=int(np.count_nonzero(difference < -tolerance)),
    )
