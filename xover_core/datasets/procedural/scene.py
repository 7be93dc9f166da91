# SPDX-License-Identifier: Apache-2.0
"""What an apartment is made of: rooms, openings, lights, and objects built from analytic primitives.

Everything is plain frozen data of numbers and tuples, so two apartments are equal exactly when they are described
alike. Frames: map has z up and the floor at z = 0; an object's frame has its origin on its footprint's centre at its
lowest point, z up and its front towards -y. Metres and radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from xover_core.types import Float64Array, Mat4

Color = tuple[float, float, float]
Vector = tuple[float, float, float]


class ObjectClass(IntEnum):
    """Semantic classes; 0 is what is seen through a window."""

    OUTSIDE = 0
    WALL = 1
    FLOOR = 2
    CEILING = 3
    DOOR_FRAME = 4
    DOOR = 5
    WINDOW = 6
    BASEBOARD = 7
    BED = 8
    SOFA = 9
    ARMCHAIR = 10
    CHAIR = 11
    STOOL = 12
    TABLE = 13
    COFFEE_TABLE = 14
    DESK = 15
    NIGHTSTAND = 16
    BOOKSHELF = 17
    WARDROBE = 18
    DRESSER = 19
    CUPBOARD = 20
    KITCHEN_COUNTER = 21
    WALL_CABINET = 22
    FRIDGE = 23
    STOVE = 24
    SINK = 25
    TOILET = 26
    BATHTUB = 27
    SHOWER = 28
    WASHING_MACHINE = 29
    MIRROR_CABINET = 30
    TV = 31
    MONITOR = 32
    LAPTOP = 33
    FLOOR_LAMP = 34
    TABLE_LAMP = 35
    CEILING_LAMP = 36
    PLANT = 37
    RUG = 38
    CURTAIN = 39
    PICTURE = 40
    POSTER = 41
    CLOCK = 42
    RADIATOR = 43
    BOX = 44
    BASKET = 45
    VASE = 46
    BOOKS = 47
    CUP = 48
    BOTTLE = 49
    BOWL = 50
    CUSHION = 51
    TOWEL = 52
    WALL_SHELF = 53
    SHOE_RACK = 54
    COAT_RACK = 55
    MICROWAVE = 56
    TOY = 57
    BIN = 58
    SWITCH = 59
    PIANO = 60

    @property
    def label(self) -> str:
        """The English noun, for example `coffee table`."""
        return self.name.lower().replace("_", " ")


class RoomType(IntEnum):
    """What a room is for."""

    CORRIDOR = 0
    LIVING_ROOM = 1
    KITCHEN = 2
    BEDROOM = 3
    BATHROOM = 4
    OFFICE = 5
    DINING_ROOM = 6
    CHILDRENS_ROOM = 7
    STORAGE = 8

    @property
    def label(self) -> str:
        """The English noun, for example `living room`."""
        return self.name.lower().replace("childrens", "children's").replace("_", " ")


class Shape(IntEnum):
    """Analytic primitives; each fills the unit cube [-1, 1]^3 scaled by its half sizes."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """A recipe of an image; equal recipes give equal images.

    Attributes:
        kind: name of a pattern in `textures`.
        seed: of the pattern's random draws.
        colors: RGB in [0, 1], as many as the pattern wants; it makes up the rest.
    """

    kind: str
    seed: int = 0
    colors: tuple[Color, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """How a surface looks.

    Attributes:
        texture: image laid over each face.
        tile: (width, height) in metres of one repetition; None stretches one image over each face.
        tint: factor on the texture's colour.
        gloss: strength of the highlight in [0, 1].
        emission: radiance of a lamp, a screen or a lit window; 0 for all else.
        mottle: strength of the slow brightness variation that hides repetition, in [0, 1].
        name: English adjective for sentences, for example `wooden`; may be empty.
    """

    texture: Texture
    tile: tuple[float, float] | None = (1.0, 1.0)
    tint: Color = (1.0, 1.0, 1.0)
    gloss: float = 0.0
    emission: float = 0.0
    mottle: float = 0.15
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Primitive:
    """A box, elliptic cylinder (axis z) or ellipsoid in its object's frame.

    Attributes:
        shape: which.
        center: metres, object frame.
        half_size: metres along the primitive's own axes, positive.
        material: of its surface.
        rpy: roll, pitch, yaw of the primitive in the object frame; R = Rz(yaw) Ry(pitch) Rx(roll).
        is_world_textured: texture coordinates run on over neighbouring primitives (walls, floors).
    """

    shape: Shape
    center: Vector
    half_size: Vector
    material: Material
    rpy: Vector = (0.0, 0.0, 0.0)
    is_world_textured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """An object in a room.

    Attributes:
        object_id: positive, unique in the apartment; the value in instance images. Kept when the object moves.
        object_class: its class.
        room_id: the room it belongs to.
        position: of its frame's origin in the map.
        yaw: of its frame in the map.
        primitives: its parts.
        color_name: English colour for sentences; empty when it has none worth saying.
        material_name: English adjective; may be empty.
        support_id: the object it stands or lies on; 0 = floor, wall or ceiling.
    """

    object_id: int
    object_class: ObjectClass
    room_id: int
    position: Vector
    yaw: float
    primitives: tuple[Primitive, ...]
    color_name: str = ""
    material_name: str = ""
    support_id: int = 0

    @property
    def T_map_object(self) -> Mat4:  # noqa: N802 - the name of a transform
        """(4, 4) pose of the object."""
        pose = np.eye(4)
        pose[:3, :3] = rotation_from_rpy((0.0, 0.0, self.yaw))
        pose[:3, 3] = self.position
        return pose

    @property
    def is_structure(self) -> bool:
        """Whether it is a part of the building that never moves."""
        return self.object_class in STRUCTURE_CLASSES


STRUCTURE_CLASSES = frozenset(
    {
        ObjectClass.WALL,
        ObjectClass.FLOOR,
        ObjectClass.CEILING,
        ObjectClass.DOOR_FRAME,
        ObjectClass.DOOR,
        ObjectClass.WINDOW,
        ObjectClass.BASEBOARD,
        ObjectClass.RADIATOR,
        ObjectClass.SWITCH,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A rectangular room.

    Attributes:
        room_id: positive, unique.
        room_type: what it is for.
        name: unique in the apartment, for example `bedroom 2`.
        lower: (x, y) of the inner corner with the smallest coordinates, metres.
        upper: (x, y) of the opposite inner corner.
        height: of the ceiling.
    """

    room_id: int
    room_type: RoomType
    name: str
    lower: tuple[float, float]
    upper: tuple[float, float]
    height: float

    @property
    def polygon(self) -> Float64Array:
        """(4, 2) corners in the map, counter-clockwise seen from above."""
        (x0, y0), (x1, y1) = self.lower, self.upper
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of the middle."""
        return (self.lower[0] + self.upper[0]) / 2, (self.lower[1] + self.upper[1]) / 2

    @property
    def area(self) -> float:
        """Square metres."""
        return (self.upper[0] - self.lower[0]) * (self.upper[1] - self.lower[1])

    def contains(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Whether a point lies inside, at least `margin` from the walls."""
        is_in_x = self.lower[0] + margin <= x <= self.upper[0] - margin
        return is_in_x and self.lower[1] + margin <= y <= self.upper[1] - margin


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A door or window in a wall along x or y.

    Attributes:
        room_ids: the rooms on its two sides; the second is 0 for outside.
        axis: 0 when the wall runs along x, 1 along y.
        offset: the other coordinate of the wall's centre line.
        start: begin of the opening along the wall.
        end: end of the opening along the wall.
        bottom: lower edge, z.
        top: upper edge, z.
    """

    room_ids: tuple[int, int]
    axis: int
    offset: float
    start: float
    end: float
    bottom: float
    top: float

    @property
    def is_window(self) -> bool:
        """Whether it is a window rather than a way through."""
        return self.room_ids[1] == 0

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of the middle of the opening."""
        middle = (self.start + self.end) / 2
        return (middle, self.offset) if self.axis == 0 else (self.offset, middle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """A point light that shines in one room only.

    Attributes:
        room_id: the room.
        position: in the map.
        color: RGB radiant intensity; about 3 lights a surface at 1.5 m well.
    """

    room_id: int
    position: Vector
    color: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class Lighting:
    """All light of an apartment.

    Attributes:
        lights: at most four for each room.
        ambient: (room_id, RGB radiance from everywhere).
        outside: texture of what windows show, stretched over a quarter turn.
        outside_brightness: radiance factor of the outside.
    """

    lights: tuple[Light, ...]
    ambient: tuple[tuple[int, Color], ...]
    outside: Texture
    outside_brightness: float


def rotation_from_rpy(rpy: Vector) -> Float64Array:
    """(3, 3) rotation Rz(yaw) Ry(pitch) Rx(roll)."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
