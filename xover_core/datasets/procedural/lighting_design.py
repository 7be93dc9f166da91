# SPDX-License-Identifier: Apache-2.0
"""Which lights are on: lamps, daylight through windows, and what comes back from everywhere."""

from __future__ import annotations

import numpy as np

from xover_core.datasets.procedural.layout import Layout
from xover_core.datasets.procedural.scene import Color, Light, Lighting, ObjectClass, Room, SceneObject, Texture

MAX_LIGHTS_PER_ROOM = 4

_LAMP_HEIGHTS = {ObjectClass.CEILING_LAMP: -0.3, ObjectClass.FLOOR_LAMP: 1.45, ObjectClass.TABLE_LAMP: 0.3}
_LAMP_POWERS = {ObjectClass.CEILING_LAMP: 3.3, ObjectClass.FLOOR_LAMP: 1.8, ObjectClass.TABLE_LAMP: 0.6}


def draw_lighting(rng: np.random.Generator, layout: Layout, objects: tuple[SceneObject, ...]) -> Lighting:
    """Choose time of day and switch lamps on or off, so that no room is dark."""
    daylight = float(rng.choice([0.0, rng.uniform(0.4, 0.8), rng.uniform(0.8, 1.4)], p=[0.15, 0.3, 0.55]))
    sky = _blend((1.0, 0.86, 0.7), (0.82, 0.92, 1.0), float(rng.random()))
    lights: list[Light] = []
    ambient = []
    for room in layout.rooms:
        found = _daylights(room, layout, sky, daylight, rng)
        found += _lamps(rng, room, objects, daylight, is_needed=not found)
        lights += found[:MAX_LIGHTS_PER_ROOM]
        level = float(rng.uniform(0.09, 0.2)) + 0.08 * daylight
        ambient.append((room.room_id, _scale(_blend((1.0, 0.95, 0.88), sky, float(rng.random())), level)))
    color: Color = (0.45, 0.62, 0.88) if daylight > 0.2 else (0.08, 0.09, 0.16)
    texture = Texture(kind="outside", seed=int(rng.integers(2**31)), colors=(color,))
    return Lighting(
        lights=tuple(lights), ambient=tuple(ambient), outside=texture, outside_brightness=0.12 + 1.2 * daylight
    )


def _daylights(room: Room, layout: Layout, sky: Color, daylight: float, rng: np.random.Generator) -> list[Light]:
    """One light just inside each window, at most two, as strong as the window is large."""
    found = []
    for opening in layout.openings:
        if not opening.is_window or opening.room_ids[0] != room.room_id or daylight < 0.05:
            continue
        area = (opening.end - opening.start) * (opening.top - opening.bottom)
        inward = 1.0 if opening.offset < (room.lower[1 - opening.axis] + room.upper[1 - opening.axis]) / 2 else -1.0
        across = opening.offset + inward * 0.3
        middle = (opening.start + opening.end) / 2
        x, y = (middle, across) if opening.axis == 0 else (across, middle)
        strength = 2.6 * daylight * area * float(rng.uniform(0.7, 1.2))
        found.append(
            Light(
                room_id=room.room_id,
                position=(x, y, (opening.bottom + opening.top) / 2 + 0.2),
                color=_scale(sky, strength),
            )
        )
    return found[:2]


def _lamps(
    rng: np.random.Generator, room: Room, objects: tuple[SceneObject, ...], daylight: float, *, is_needed: bool
) -> list[Light]:
    """Lamps that are on; ceiling lamps always when there is little daylight, or nothing else."""
    warmth = _blend((1.0, 0.74, 0.5), (0.96, 0.98, 1.0), float(rng.random()))
    found = []
    for lamp in objects:
        if lamp.room_id != room.room_id or lamp.object_class not in _LAMP_HEIGHTS:
            continue
        is_ceiling = lamp.object_class is ObjectClass.CEILING_LAMP
        if rng.random() < (0.85 if is_ceiling and daylight < 0.8 else 0.5) or (
            is_ceiling and (is_needed or daylight < 0.3)
        ):
            x, y, z = lamp.position
            power = _LAMP_POWERS[lamp.object_class] * float(rng.uniform(0.7, 1.3))
            height = z + _LAMP_HEIGHTS[lamp.object_class]
            found.append(Light(room_id=room.room_id, position=(x, y, height), color=_scale(warmth, power)))
    return found


def _blend(a: Color, b: Color, t: float) -> Color:
    return (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]))


def _scale(color: Color, factor: float) -> Color:
    return color[0] * factor, color[1] * factor, color[2] * factor
