# SPDX-License-Identifier: Apache-2.0
"""Images as frames, for tests of what looks at frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.types import CameraIntrinsics, Float32Array, RgbdFrame


def picture_frame(rgb: NDArray[np.uint8], depth: Float32Array | None = None) -> RgbdFrame:
    """An (H, W, 3) image as a camera with the usual field of view would have seen it."""
    height, width = rgb.shape[:2]
    camera = CameraIntrinsics(fx=width, fy=width, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)
    return RgbdFrame(stamp_ns=0, rgb=rgb, depth=depth, intrinsics=camera)
