# SPDX-License-Identifier: Apache-2.0
"""CameraInfo to intrinsics, and undistortion against the distortion formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xover_core.errors import SensorDataError
from xover_core.sensors.camera_info import Undistorter, intrinsics_from_camera_info
from xover_core.sensors.messages import RawCameraInfo

SHIFT_TOLERANCE_PX = 0.6  # nearest sample of an image that holds its own u coordinate: half a pixel and rounding
INFO = RawCameraInfo(
    stamp_ns=1,
    frame_id="camera",
    width=320,
    height=240,
    K=(300.0, 0.0, 159.5, 0.0, 310.0, 119.5, 0.0, 0.0, 1.0),
    P=(280.0, 0.0, 150.0, 0.0, 0.0, 290.0, 110.0, 0.0, 0.0, 0.0, 1.0, 0.0),
)
PLUMB_BOB = replace(INFO, D=(-0.3, 0.1, 0.0, 0.0, 0.0), distortion_model="plumb_bob")
RATIONAL = replace(INFO, D=(-0.3, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), distortion_model="rational_polynomial")
FISHEYE = replace(INFO, D=(0.05, 0.01, 0.0, 0.0), distortion_model="equidistant")


def test_intrinsics_from_k() -> None:
    camera = intrinsics_from_camera_info(INFO)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (300.0, 310.0, 159.5, 119.5)
    assert (camera.width, camera.height) == (320, 240)


def test_rectified_images_use_p_and_are_left_alone() -> None:
    undistorter = Undistorter(replace(PLUMB_BOB, is_rectified=True))
    camera = undistorter.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (280.0, 290.0, 150.0, 110.0)
    image = np.zeros((240, 320, 3), np.uint8)
    assert undistorter.undistort_color(image) is image


def test_rectified_without_p_uses_k() -> None:
    assert intrinsics_from_camera_info(replace(INFO, P=(0.0,) * 12, is_rectified=True)).fx == 300.0


@pytest.mark.parametrize("model", ["", "plumb_bob", "whatever"])
def test_no_distortion_means_no_remapping(model: str) -> None:
    undistorter = Undistorter(replace(INFO, D=(0.0,) * 5, distortion_model=model))
    depth = np.ones((240, 320), np.float32)
    assert undistorter.undistort_depth(depth) is depth


def distorted_radius(radius: float, info: RawCameraInfo) -> float:
    """Distance from the axis in the distorted image of a ray at `radius` = tan(angle), focal length 1."""
    k1, k2 = info.D[:2]
    if info.distortion_model == "equidistant":
        angle = np.arctan(radius)
        return float(angle * (1 + k1 * angle**2 + k2 * angle**4))
    return radius * (1 + k1 * radius**2 + k2 * radius**4)


@pytest.mark.parametrize("info", [PLUMB_BOB, RATIONAL, FISHEYE])
def test_undistortion_samples_where_the_lens_put_the_ray(info: RawCameraInfo) -> None:
    undistorter = Undistorter(info)
    u_coordinates = np.tile(np.arange(320, dtype=np.float32) + 1, (240, 1))
    u, v = 250, 119.5
    remapped = undistorter.undistort_depth(u_coordinates)
    expected = 159.5 + 300 * distorted_radius((u - 159.5) / 300, info)
    assert abs(expected - u) > 1, "the case must move the pixel for the test to mean anything"
    assert remapped[int(v), u] - 1 == pytest.approx(expected, abs=SHIFT_TOLERANCE_PX)


def test_depth_is_never_averaged_and_color_is() -> None:
    undistorter = Undistorter(PLUMB_BOB)
    stripes = np.where(np.arange(320) % 2, 1.0, 3.0).astype(np.float32) * np.ones((240, 1), np.float32)
    assert set(np.unique(undistorter.undistort_depth(stripes))) <= {0.0, 1.0, 3.0}
    color = np.repeat((stripes * 50).astype(np.uint8)[:, :, None], 3, axis=2)
    assert len(np.unique(undistorter.undistort_color(color))) > 5


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (replace(INFO, K=(0.0,) * 9), "all zero"),
        (replace(INFO, K=(1.0,) * 4), "9 values"),
        (replace(INFO, K=(-1.0, *INFO.K[1:])), "positive focal"),
        (replace(INFO, K=(float("nan"), *INFO.K[1:])), "finite"),
        (replace(INFO, width=0), "positive size"),
        (replace(PLUMB_BOB, distortion_model="thin_prism"), "thin_prism.*plumb_bob"),
        (replace(PLUMB_BOB, D=(0.1, 0.2)), "4 or 5"),
        (replace(PLUMB_BOB, D=(0.1, 0.2, float("nan"), 0.0)), "finite"),
    ],
)
def test_bad_camera_infos_are_refused(info: RawCameraInfo, text: str) -> None:
    with pytest.raises(SensorDataError, match=text):
        Undistorter(info)


def test_image_of_another_size_names_both() -> None:
    undistorter = Undistorter(INFO)
    with pytest.raises(SensorDataError, match=r"640x480.*320x240"):
        undistorter.undistort_color(np.zeros((480, 640, 3), np.uint8))
