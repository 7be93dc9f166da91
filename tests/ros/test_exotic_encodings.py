# SPDX-License-Identifier: Apache-2.0
"""cv_bridge is asked only for what the core does not know, and may be absent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from sensor_msgs.msg import Image
from xover_ros import exotic_encodings
from xover_ros.exotic_encodings import convert_exotic


class _FakeBridge:
    """Knows one Bayer pattern, like the real one."""

    def imgmsg_to_cv2(self, message: Image, desired_encoding: str) -> np.ndarray:
        if message.encoding != "bayer_rggb8":
            raise ValueError(f"no conversion from {message.encoding}")
        assert desired_encoding == "rgb8"
        return np.full((message.height, message.width, 3), 7, np.uint8)


@pytest.fixture(autouse=True)
def _forget_bridge() -> Iterator[None]:
    exotic_encodings._bridge.cache_clear()
    yield
    exotic_encodings._bridge.cache_clear()


def _image(encoding: str) -> Image:
    return Image(height=2, width=4, encoding=encoding, step=4, data=b"\0" * 8)


def test_with_cv_bridge_a_bayer_image_becomes_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("cv_bridge")
    module.CvBridge = _FakeBridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", module)
    converted = convert_exotic(_image("bayer_rggb8"))
    assert (converted.encoding, converted.step, converted.data[0]) == ("rgb8", 12, 7)
    unknown = _image("nonsense")
    assert convert_exotic(unknown) is unknown
    known = _image("mono8")
    assert convert_exotic(known) is known


def test_without_cv_bridge_messages_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    message = _image("bayer_rggb8")
    assert convert_exotic(message) is message
