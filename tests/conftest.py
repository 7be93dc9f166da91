# SPDX-License-Identifier: Apache-2.0
"""Fixtures that tests of several areas share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from xover_core.types import CameraIntrinsics

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def repository() -> Path:
    """Root of the source tree."""
    return REPOSITORY


@pytest.fixture
def random() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20)


@pytest.fixture
def intrinsics() -> CameraIntrinsics:
    """A camera with unequal focal lengths and a principal point off the centre."""
    return CameraIntrinsics(fx=260.0, fy=255.0, cx=161.5, cy=117.25, width=320, height=240)


@pytest.fixture
def sample_data() -> Path:
    """Real recordings outside of the repository, named by XOVER_DATA_DIR; skips without them."""
    folder = os.environ.get("XOVER_DATA_DIR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("XOVER_DATA_DIR names no folder with recordings")
    return Path(folder)
