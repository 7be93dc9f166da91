# SPDX-License-Identifier: Apache-2.0
"""What every patch encoder offers, whatever network or filter is inside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from xover_core.types import ModelInfo, PatchFeatures, RgbdFrame


class PatchEncoder(Protocol):
    """Frame -> descriptors of L2 norm at most 1 on a patch grid with stride 8 at the encoder's working height."""

    @property
    def model(self) -> ModelInfo:
        """Name, checksum, descriptor length and radii of the model."""
        ...

    @property
    def site_weights(self) -> bytes:
        """What a map must keep to restore this encoder beyond the model's own weights (safetensors); may be empty."""
        ...

    def encode(self, frame: RgbdFrame) -> PatchFeatures:
        """Describe every patch of a frame.

        Args:
            frame: of any size; its depth may be None or without any reading, and some encoders never look at it.

        Returns:
            Features on a (rows, cols) grid with one descriptor array per radius.
        """
        ...


@runtime_checkable
class SiteFittable(Protocol):
    """An encoder that can be fitted to a site without training, for example by whitening."""

    def fit_to(self, frames: Iterable[RgbdFrame]) -> PatchEncoder:
        """Return a new encoder fitted to frames of the site; itself when there are too few."""
        ...
