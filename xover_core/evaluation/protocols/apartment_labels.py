# SPDX-License-Identifier: Apache-2.0
"""Labelled views of a procedural apartment: two walks through all of its rooms."""

from __future__ import annotations

from xover_core.datasets.procedural import Apartment, ApartmentWalk, ObjectClass, make_apartment
from xover_core.evaluation.protocols.labelled_patches import (
    THINGS_NAME,
    LabelledScene,
    LabelledView,
    patch_labels,
    spread_indices,
)
from xover_core.evaluation.protocols.protocol_settings import LinearProbeSettings
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
APARTMENT_STUFF = (*(stuff.label for stuff in STUFF), THINGS_NAME)
# What is seen through the windows is no object of the apartment.
_OUTSIDE_ID = 0


def label_apartment(seed: int, settings: LinearProbeSettings, progress: Progress = ignore_progress) -> LabelledScene:
    """Make an apartment and render its views.

    Args:
        seed: of the apartment.
        settings: how many rooms and frames, and which walks.
        progress: called with views done and to come, from the start for each walk.
    """
    apartment = make_apartment(seed, num_rooms=settings.num_rooms)
    train = _walk_views(apartment, settings.train_walk, settings.num_frames, progress)
    is_same = settings.same_frames
    return LabelledScene(
        name=f"apartment-{seed}",
        train=train,
        test=train if is_same else _walk_views(apartment, settings.test_walk, settings.num_frames, progress),
        train_name=f"walk {settings.train_walk}",
        test_name=f"walk {settings.train_walk if is_same else settings.test_walk}",
        stuff_names=APARTMENT_STUFF,
        stuff_of=apartment_stuff(apartment),
    )


def apartment_stuff(apartment: Apartment) -> dict[int, int]:
    """Object -> its place in `APARTMENT_STUFF`; furniture and what lies around are all `objects`."""
    place = {stuff: number for number, stuff in enumerate(STUFF)}
    classes = {item.object_id: place.get(item.object_class, len(STUFF)) for item in apartment.objects}
    return {_OUTSIDE_ID: place[ObjectClass.OUTSIDE], **classes}


def _walk_views(apartment: Apartment, walk_seed: int, num_frames: int, progress: Progress) -> tuple[LabelledView, ...]:
    """Views evenly spread over a walk through all rooms, with sensor noise."""
    walk = ApartmentWalk(apartment, seed=walk_seed)
    indices = spread_indices(len(walk), num_frames)
    views = []
    for done, index in enumerate(indices, start=1):
        frame = walk.item(index).frame
        labels = patch_labels(walk.perfect_view(index).instance, frame.rgb)
        views.append(LabelledView(frame=frame, object_ids=labels))
        progress(done, len(indices))
    return tuple(views)
