# SPDX-License-Identifier: Apache-2.0
"""The apartment: its frozen description, how it is drawn from a seed, and its relit variants."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xover_core.datasets.procedural.free_space import FreeSpace
from xover_core.datasets.procedural.layout import Layout, make_layout
from xover_core.datasets.procedural.lighting_design import draw_lighting
from xover_core.datasets.procedural.rearrangement import ObjectMove, rearrange
from xover_core.datasets.procedural.room_furnisher import ObjectFactory, RoomFurnisher
from xover_core.datasets.procedural.room_recipes import furnish_room
from xover_core.datasets.procedural.scene import Lighting, Opening, Room, SceneObject
from xover_core.datasets.procedural.shell import build_shell, draw_finish
from xover_core.errors import DatasetError

_MAX_ROOMS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Apartment:
    """Everything that is known about an apartment. Map frame: z up, floor at z = 0, x and y from 0 up; metres.

    Attributes:
        seed: from which it was drawn.
        layout: rooms, doors, windows.
        objects: building parts and furniture, by rising id.
        lighting: lights and outside.
    """

    seed: int
    layout: Layout
    objects: tuple[SceneObject, ...]
    lighting: Lighting

    @property
    def rooms(self) -> tuple[Room, ...]:
        """All rooms, by rising id."""
        return self.layout.rooms

    @property
    def openings(self) -> tuple[Opening, ...]:
        """All doors and windows."""
        return self.layout.openings

    @property
    def furniture(self) -> tuple[SceneObject, ...]:
        """The objects that are no part of the building."""
        return tuple(o for o in self.objects if not o.is_structure)

    def room(self, room_id: int) -> Room:
        """The room with this id.

        Raises:
            DatasetError: there is none.
        """
        if not 1 <= room_id <= len(self.rooms):
            raise DatasetError(f"apartment {self.seed}: expected a room id from 1 to {len(self.rooms)}, got {room_id}.")
        return self.rooms[room_id - 1]

    def room_at(self, x: float, y: float) -> Room | None:
        """The room around a point of the map, None in walls and outside."""
        return next((room for room in self.rooms if room.contains(x, y)), None)

    def relit(self, seed: int) -> Apartment:
        """The same apartment at another time of day with other lamps on."""
        rng = np.random.default_rng([seed, 7])
        return replace(self, lighting=draw_lighting(rng, self.layout, self.objects))

    def rearranged(self, seed: int, share: float = 0.5) -> tuple[Apartment, tuple[ObjectMove, ...]]:
        """The same apartment after somebody moved things, and what moved where; object ids stay.

        Args:
            seed: of the moves.
            share: about how many of the movable objects move, in [0, 1]. Some find no other place.

        Raises:
            DatasetError: `share` is out of range.
        """
        if not 0.0 <= share <= 1.0:
            raise DatasetError(f"Apartment.rearranged: expected a share from 0 to 1, got {share}.")
        objects, moves = rearrange(self.layout, self.objects, np.random.default_rng([seed, 5]), share)
        return replace(self, objects=objects), moves


def make_apartment(seed: int, *, num_rooms: int = 5, clutter: float = 1.0, num_lookalikes: int = 0) -> Apartment:
    """Draw an apartment; the same arguments always give the same one.

    Args:
        seed: not negative.
        num_rooms: rooms besides the corridor, which exists from three rooms on; 1 to 12.
        clutter: amount of small things and pictures, 1 = lived in, 0 = bare.
        num_lookalikes: this many rooms get the same size, furniture and surfaces, and differ only in what lies
            around and hangs on the walls; 0, or 2 to `num_rooms`, and at least three rooms then.

    Raises:
        DatasetError: an argument is out of range.
    """
    if not (seed >= 0 and 1 <= num_rooms <= _MAX_ROOMS and 0.0 <= clutter <= 5.0):
        raise DatasetError(
            f"make_apartment: expected seed >= 0, num_rooms 1 to {_MAX_ROOMS} and clutter 0 to 5,"
            f" got {seed}, {num_rooms} and {clutter}."
        )
    if num_lookalikes and not (2 <= num_lookalikes <= num_rooms and num_rooms >= 3):
        raise DatasetError(
            f"make_apartment: expected num_lookalikes 0 or from 2 to num_rooms, with at least 3 rooms,"
            f" got {num_lookalikes} of {num_rooms}."
        )
    layout = make_layout(np.random.default_rng([seed, 0]), num_rooms, num_lookalikes)
    factory = ObjectFactory()
    objects: list[SceneObject] = []
    for room in layout.rooms:
        twin = 1 if room.room_id <= num_lookalikes else room.room_id
        objects += _fill_room(seed, twin, room, layout, factory, clutter)
    lighting = draw_lighting(np.random.default_rng([seed, 3]), layout, tuple(objects))
    return Apartment(seed=seed, layout=layout, objects=tuple(objects), lighting=lighting)


def make_lookalike_apartment(seed: int, *, num_rooms: int = 5, num_lookalikes: int = 3) -> Apartment:
    """An apartment in which some rooms are easily taken for each other; see `make_apartment`."""
    return make_apartment(seed, num_rooms=num_rooms, num_lookalikes=num_lookalikes)


def _fill_room(
    seed: int, twin: int, room: Room, layout: Layout, factory: ObjectFactory, clutter: float
) -> list[SceneObject]:  # fmt: skip
    """Building parts and furniture of a room; rooms with the same `twin` come out alike."""
    rng = np.random.default_rng([seed, 1, twin])
    finish = draw_finish(rng, room.room_type)
    shell = build_shell(rng, room, layout, finish, factory)
    space = FreeSpace.of_room(room, layout, shell)
    decor_rng = np.random.default_rng([seed, 4, room.room_id])
    furnisher = RoomFurnisher(np.random.default_rng([seed, 2, twin]), decor_rng, room, space, factory, clutter)
    return shell + furnish_room(furnisher)
