# SPDX-License-Identifier: Apache-2.0
"""Renders views of a procedural apartment that are worth having."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.renderer import RenderedView, Renderer
from xover_core.geometry.camera import resize_intrinsics
from xover_core.training.view_proposals import Proposal
from xover_core.types import CameraIntrinsics

# Views that are looked at for each one that is kept, before a scene stays smaller than wanted.
MAX_TRIES = 12
# Views are judged on a small rendering first.
_SKETCH_WIDTH = 64
_NEAR = 0.3
_MIN_TARGET_SHARE = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewLimits:
    """Which views are of no use.

    Attributes:
        max_near_share: those of which more is nearer than 0.3 m.
        max_plain_share: those that one object fills to more.
        min_depth_share: those of which less has depth: most of the others looks out of a window.
    """

    max_near_share: float = 0.4
    max_plain_share: float = 0.85
    min_depth_share: float = 0.6


class ViewStudio:
    """Judges and renders views of one apartment, each in one of its lightings."""

    def __init__(self, apartments: Sequence[Apartment], limits: ViewLimits | None = None) -> None:
        """Make the renderers.

        Args:
            apartments: one, or the same in several lightings, which views get in turn.
            limits: of what is useful; None = defaults.
        """
        self._renderers = [Renderer(apartment) for apartment in apartments]
        self._limits = limits or ViewLimits()
        self._num_taken = 0

    def take(self, proposal: Proposal, camera: CameraIntrinsics) -> RenderedView | None:
        """The view of a camera, or None when it is of no use."""
        sketch_height = max(round(_SKETCH_WIDTH * camera.height / camera.width), 1)
        sketch_camera = resize_intrinsics(camera, _SKETCH_WIDTH, sketch_height)
        sketch = self._renderers[0].render(proposal.T_map_camera, sketch_camera)
        if not self._is_useful(sketch, proposal.target_id):
            return None
        renderer = self._renderers[self._num_taken % len(self._renderers)]
        self._num_taken += 1
        return renderer.render(proposal.T_map_camera, camera)

    def take_useful(
        self, proposals: Iterable[Proposal], camera: CameraIntrinsics, wanted: int
    ) -> Iterator[tuple[Proposal, RenderedView]]:
        """The first useful views; fewer than wanted when there are not so many."""
        tried = ((proposal, self.take(proposal, camera)) for proposal in proposals)
        return islice(((proposal, view) for proposal, view in tried if view is not None), wanted)

    def _is_useful(self, view: RenderedView, target_id: int) -> bool:
        """Whether a view shows enough, and its target."""
        size = view.depth.size
        near = np.count_nonzero((view.depth > 0) & (view.depth < _NEAR)) / size
        _, counts = np.unique(view.instance, return_counts=True)
        is_target_seen = target_id == 0 or np.count_nonzero(view.instance == target_id) >= _MIN_TARGET_SHARE * size
        is_plain = counts.max() / size > self._limits.max_plain_share
        has_depth = np.count_nonzero(view.depth) / size >= self._limits.min_depth_share
        return bool(near <= self._limits.max_near_share and has_depth and not is_plain and is_target_seen)


def draw_camera(
    rng: np.random.Generator, width: int, height: int, min_fov_deg: float, max_fov_deg: float
) -> CameraIntrinsics:
    """A camera with square pixels, its axis in the middle, and a horizontal field of view between the two angles."""
    low, high = sorted((min_fov_deg, max_fov_deg))
    focal = width / 2 / math.tan(math.radians(rng.uniform(low, high)) / 2)
    return CameraIntrinsics(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)
