# SPDX-License-Identifier: Apache-2.0
"""Puts furniture into a room: against walls, in the middle, beside each other, on top, on walls and windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from xover_core.datasets.procedural import furniture_decor as decor
from xover_core.datasets.procedural.free_space import SIDE_YAWS, FreeSpace, Spot, footprint_at
from xover_core.datasets.procedural.furniture_model import FurnitureModel, Surface
from xover_core.datasets.procedural.furniture_small import SMALL_THINGS
from xover_core.datasets.procedural.scene import ObjectClass, Primitive, Room, RoomType, SceneObject, Vector

Builder = Callable[[np.random.Generator], FurnitureModel]


@dataclass(slots=True)
class ObjectFactory:
    """Numbers objects in order of creation."""

    next_id: int = 1

    def __call__(
        self, object_class: ObjectClass, room_id: int, primitives: tuple[Primitive, ...], *,
        position: Vector = (0.0, 0.0, 0.0), yaw: float = 0.0, words: tuple[str, str] = ("", ""), support_id: int = 0,
    ) -> SceneObject:  # fmt: skip
        """Make the next object."""
        self.next_id += 1
        return SceneObject(
            object_id=self.next_id - 1,
            object_class=object_class,
            room_id=room_id,
            position=position,
            yaw=yaw,
            primitives=primitives,
            color_name=words[0],
            material_name=words[1],
            support_id=support_id,
        )


@dataclass(slots=True)
class RoomFurnisher:
    """Places furniture in one room.

    `rng` decides furniture, `decor_rng` what lies around and hangs on the walls: rooms that share the first look alike.
    """

    rng: np.random.Generator
    decor_rng: np.random.Generator
    room: Room
    space: FreeSpace
    factory: ObjectFactory
    clutter: float
    objects: list[SceneObject] = field(default_factory=list)

    def against_wall(
        self, build: Builder, things: str = "", *, chance: float = 1.0, is_in_corner: bool = False
    ) -> SceneObject | None:
        """Put a new piece with its back to a wall, and small things on it; None when left out or no room."""
        if self.rng.random() >= chance:
            return None
        design = build(self.rng)
        spot = self.space.find_wall_spot(self.rng, design.size, is_in_corner=is_in_corner)
        return None if spot is None else self.put(design, spot, things)

    def in_center(
        self, build: Builder, things: str = "", *, chance: float = 1.0, gap: float = 0.1
    ) -> SceneObject | None:
        """Put a new piece somewhere in the room."""
        if self.rng.random() >= chance:
            return None
        design = build(self.rng)
        spot = self.space.find_center_spot(self.rng, design.size, gap=gap)
        return None if spot is None else self.put(design, spot, things)

    def beside(
        self, anchor: SceneObject | None, build: Builder, offset: tuple[float, float], turn: float, things: str = ""
    ) -> None:
        """Put a piece at an offset in the anchor's frame, if it fits, turned by `turn` from the anchor."""
        if anchor is None:
            return
        design = build(self.rng)
        c, s = math.cos(anchor.yaw), math.sin(anchor.yaw)
        x = anchor.position[0] + c * offset[0] - s * offset[1]
        y = anchor.position[1] + s * offset[0] + c * offset[1]
        spot = Spot(x, y, anchor.yaw + turn)
        if self.space.can_place(footprint_at(spot, design.size)):
            self.put(design, spot, things)

    def put(self, design: FurnitureModel, spot: Spot, things: str = "", z: float = 0.0) -> SceneObject:
        """Add a piece and cover its surfaces."""
        placed = self.add(design, (spot.x, spot.y, z), spot.yaw)
        self.space.add_object(placed)
        for surface in design.surfaces if things else ():
            self.cover(placed, surface, "high" if surface.z > 1.4 else things)
        return placed

    def add(self, design: FurnitureModel, position: Vector, yaw: float, support_id: int = 0) -> SceneObject:
        """Add an object without looking for overlaps."""
        words = (design.color_name, design.material_name)
        placed = self.factory(
            design.object_class, self.room.room_id, design.primitives,
            position=position, yaw=yaw, words=words, support_id=support_id,
        )  # fmt: skip
        self.objects.append(placed)
        return placed

    def cover(self, support: SceneObject, surface: Surface, things: str) -> None:
        """Put small things on a surface, side by side, with a small random turn."""
        c, s = math.cos(support.yaw), math.sin(support.yaw)
        x = -surface.width / 2
        while x < surface.width / 2:
            x += float(self.decor_rng.exponential(0.28 / max(self.clutter, 1e-3)))
            choice = SMALL_THINGS[things]
            design = choice[int(self.decor_rng.integers(len(choice)))](self.decor_rng)
            width, depth, height = design.size
            if x + width > surface.width / 2 or depth > surface.depth + 0.02 or height > surface.headroom:
                x += 0.05
                continue
            slack = max(0.0, (surface.depth - depth) / 2)
            lx, ly = surface.x + x + width / 2, surface.y + float(self.decor_rng.uniform(-slack, slack))
            position = (
                support.position[0] + c * lx - s * ly,
                support.position[1] + s * lx + c * ly,
                support.position[2] + surface.z,
            )
            turn = float(self.decor_rng.normal(0, 0.12))
            self.add(design, position, support.yaw + turn, support.object_id)
            x += width + 0.03

    def lay_rug(self, anchor: SceneObject | None, distance: float) -> None:
        """Lay a rug before an anchor, or in the middle of the room; at most one for each room."""
        design = decor.rug(self.rng)
        if any(o.object_class is ObjectClass.RUG for o in self.objects):
            return
        x, y = self.room.center if anchor is None else anchor.position[:2]
        yaw = 0.0 if anchor is None else anchor.yaw
        if anchor is not None:
            x, y = x + math.sin(yaw) * distance, y - math.cos(yaw) * distance
        f = footprint_at(Spot(x, y, yaw), design.size)
        (x0, y0), (x1, y1) = self.room.lower, self.room.upper
        if f.x0 > x0 + 0.05 and f.y0 > y0 + 0.05 and f.x1 < x1 - 0.05 and f.y1 < y1 - 0.05:
            self.add(design, (x, y, 0.0005), yaw)

    def hang(self, design: FurnitureModel, heights: tuple[float, float]) -> None:
        """Hang something on a free piece of wall."""
        found = self.space.find_hanging_spot(self.rng, design.size, heights)
        if found is not None:
            self.put(design, found[0], z=found[1])

    def hang_decor(self) -> None:
        """Pictures, posters, a clock, a shelf, switches; more of them on more wall."""
        is_wet = self.room.room_type is RoomType.BATHROOM
        length = sum(s.end - s.start for s in self.space.sides)
        if not is_wet and self.decor_rng.random() < 0.35:
            self.hang(decor.wall_shelf(self.decor_rng), (1.2, 1.6))
        if self.decor_rng.random() < 0.3:
            self.hang(decor.wall_clock(self.decor_rng), (1.6, 1.9))
        for _ in range(int(self.decor_rng.poisson(length * (0.1 if is_wet else 0.4) * self.clutter))):
            design = decor.picture(self.decor_rng) if self.decor_rng.random() < 0.55 else decor.poster(self.decor_rng)
            self.hang(design, (0.75, 1.6))
        for _ in range(int(self.decor_rng.integers(1, 3))):
            self.hang(decor.light_switch(self.decor_rng), (1.05, 1.1))

    def dress_windows(self) -> None:
        """Curtains at both ends and a radiator below, where there is space."""
        is_curtained = self.room.room_type not in (RoomType.BATHROOM, RoomType.KITCHEN) and self.rng.random() < 0.8
        for i, side in enumerate(self.space.sides):
            for opening in (o for o in side.openings if o.is_window):
                width = float(self.rng.uniform(0.22, 0.4))
                design = decor.curtain(self.rng, width, opening.top + 0.1 - 0.06)
                ends = (opening.start - width / 2 + 0.08, opening.end + width / 2 - 0.08)
                for along in ends if is_curtained else ():
                    if side.start + width / 2 < along < side.end - width / 2:
                        self._put_at_wall(i, design, along, 0.06)
                if opening.bottom > 0.7 and opening.end - opening.start > 0.5:
                    self._put_at_wall(
                        i,
                        decor.radiator(self.rng, opening.end - opening.start - 0.12),
                        (opening.start + opening.end) / 2,
                        0.02,
                    )

    def _put_at_wall(self, index: int, design: FurnitureModel, along: float, gap: float) -> None:
        """Put a flat thing at a given place of a wall if nothing is there."""
        side = self.space.sides[index]
        across = side.inner - side.outward * (design.size[1] / 2 + gap)
        spot = Spot(along, across, SIDE_YAWS[index]) if side.axis == 0 else Spot(across, along, SIDE_YAWS[index])
        if self.space.can_place(footprint_at(spot, design.size)):
            self.put(design, spot)

    def hang_ceiling_lamps(self) -> None:
        """One lamp, two of the same in a long room."""
        design = decor.ceiling_lamp(self.rng)
        (x0, y0), (x1, y1) = self.room.lower, self.room.upper
        is_long_x = x1 - x0 > y1 - y0
        fractions = (0.25, 0.75) if max(x1 - x0, y1 - y0) > 4.8 else (0.5,)
        for fraction in fractions:
            x = x0 + (x1 - x0) * (fraction if is_long_x else 0.5)
            y = y0 + (y1 - y0) * (0.5 if is_long_x else fraction)
            self.add(design, (x, y, self.room.height), 0.0)
