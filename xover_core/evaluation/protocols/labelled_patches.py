# SPDX-License-Identifier: Apache-2.0
"""Views of a procedural apartment with the object at the centre of every patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.datasets.procedural import Apartment, ApartmentWalk, ObjectClass
from xover_core.evaluation.protocols.patch_sources import protocol_grid
from xover_core.evaluation.replay import Progress, ignore_progress

# What LoCUS calls stuff: surfaces that have no shape of their own. Everything else is an object.
STUFF = (
    ObjectClass.OUTSIDE,
    ObjectClass.WALL,
    ObjectClass.FLOOR,
    ObjectClass.CEILING,
    ObjectClass.DOOR_FRAME,
    ObjectClass.DOOR,
    ObjectClass.WINDOW,
    ObjectClass.BASEBOARD,
)
THINGS_NAME = "objects"
STUFF_NAMES = (*(stuff.label for stuff in STUFF), THINGS_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledView:
    """A view with labels.

    Attributes:
        rgb: (H, W, 3) uint8 with sensor noise.
        object_ids: (N,) int64 of the patches of `protocol_grid`; 0 outside the windows.
    """

    rgb: NDArray[np.uint8]
    object_ids: NDArray[np.int64]


def labelled_views(
    apartment: Apartment, walk_seed: int, num_frames: int, progress: Progress = ignore_progress
) -> tuple[LabelledView, ...]:
    """Views evenly spread over a walk through all rooms."""
    walk = ApartmentWalk(apartment, seed=walk_seed)
    indices = np.unique(np.rint(np.linspace(0, len(walk) - 1, num_frames)).astype(int)).tolist()
    views = []
    for done, index in enumerate(indices, start=1):
        rgb = walk.item(index).frame.rgb
        views.append(LabelledView(rgb=rgb, object_ids=patch_labels(walk.perfect_view(index).instance, rgb)))
        progress(done, len(indices))
    return tuple(views)


def patch_labels(instance: NDArray[np.int32], rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) the values of an (H, W) label image at the centres of the patches."""
    pixels = np.rint(protocol_grid(rgb).keypoints_px).astype(np.intp)
    return instance[pixels[:, 1], pixels[:, 0]].astype(np.int64)


def stuff_of(apartment: Apartment, object_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K,) for each object id its place in `STUFF_NAMES`; furniture and what lies around are all `objects`."""
    class_of = {item.object_id: item.object_class for item in apartment.objects}
    place = {stuff: number for number, stuff in enumerate(STUFF)}
    classes = [class_of.get(object_id, ObjectClass.OUTSIDE) for object_id in object_ids.tolist()]
    return np.array([place.get(c, len(STUFF)) for c in classes], np.int64)
