# SPDX-License-Identifier: Apache-2.0
"""Pictures of one object with more and more of its surroundings, as CrossOver takes them of each view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError

NUM_LEVELS = 3
EXPANSION = 0.2
"""Share of the box by which it grows on every side, for each level."""


def crop_levels(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], ...]:
    """The box around an object, and two larger ones, cut off at the image's border.

    Args:
        image: (H, W, 3) RGB.
        mask: (H, W), the object's pixels.

    Returns:
        Three crops; none where the mask is empty.

    Raises:
        SensorDataError: sizes differ.
    """
    if image.shape[:2] != mask.shape:
        raise SensorDataError(f"crops of an object: expected a mask of size {image.shape[:2]}, got {mask.shape}.")
    rows, cols = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        return ()
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    crops = []
    for level in range(NUM_LEVELS):
        down = level * int(EXPANSION * (bottom - top))
        across = level * int(EXPANSION * (right - left))
        crops.append(image[max(top - down, 0) : bottom + down, max(left - across, 0) : right + across])
    return tuple(crops)
