# SPDX-License-Identifier: Apache-2.0
"""From surface points to colour: textures, lamps with soft shadows, daylight, highlights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.light_grid import LightGrid
from xover_core.datasets.procedural.lighting_design import MAX_LIGHTS_PER_ROOM
from xover_core.datasets.procedural.primitive_table import PrimitiveTable
from xover_core.datasets.procedural.ray_caster import Views
from xover_core.datasets.procedural.scene import Texture
from xover_core.datasets.procedural.surface import SurfacePoints, dot, pixel_directions
from xover_core.datasets.procedural.texture_atlas import TextureAtlas

_CLOUDS = Texture(kind="clouds", colors=((1.0, 1.0, 1.0),))
_GRAIN = Texture(kind="grain", colors=((1.0, 1.0, 1.0),))
_CLOUDS_ROW, _GRAIN_ROW = 1, 2
_CLOUDS_TILE_M = 3.3
_GRAIN_TILE_M = 0.31
_EXPOSURE = 1.25
_CONTRAST = 0.7
_FILL = 0.18
"""Share of a lamp's light that comes from all around it."""
_LEAK = 0.1
"""Share of a lamp's light that reaches its shadows."""


class Shader:
    """Shades surface points of one apartment."""

    def __init__(self, apartment: Apartment, table: PrimitiveTable) -> None:
        """Synthesize the textures and trace the light grid."""
        device = table.center.device
        used = [m.texture for m in table.materials]
        textures = tuple(dict.fromkeys([apartment.lighting.outside, _CLOUDS, _GRAIN, *used]))
        index = {texture: i for i, texture in enumerate(textures)}
        self._table = table
        self._atlas = TextureAtlas(textures, device)
        self._grid = LightGrid(apartment, table)
        self._texture = torch.tensor([index[t] for t in used], dtype=torch.int32, device=device)
        rows = [(*_tile_rates(m.tile), *m.tint, m.gloss, m.emission, m.mottle) for m in table.materials]
        self._material = torch.tensor(rows, dtype=torch.float32, device=device).T.contiguous()
        self._outside_brightness = apartment.lighting.outside_brightness
        self._ambient = torch.tensor([color for _, color in apartment.lighting.ambient], device=device).T.contiguous()
        self._lights = _light_table(apartment).to(device)

    def shade(self, points: SurfacePoints, focal_px: float) -> Tensor:
        """(3, N) radiance of surface points."""
        material = self._table.material.index_select(0, points.primitive)
        rates, tint, gloss, emission, mottle = torch.split(self._material.index_select(1, material), [2, 3, 1, 1, 1])
        facing = dot(points.normal, points.view).clamp_min_(0.05)
        footprint = points.depth * facing.rsqrt_() * (1 / focal_px)
        albedo = self._albedo(material, points, rates, footprint, mottle[0]).mul_(tint)
        room = self._table.room.index_select(0, points.primitive)
        diffuse, specular = self._light(points, room, gloss[0])
        return (albedo.square_() * (diffuse + emission)).addcmul_(diffuse, specular)

    def outside(self, pixels: Tensor, views: Views) -> Tensor:
        """(3, N) radiance of what lies beyond the windows in the direction of pixels (N,)."""
        direction = pixel_directions(pixels, views)
        azimuth = torch.atan2(direction[1], direction[0]) / (math.pi / 2)
        elevation = direction[2] / direction[:2].norm(dim=0).clamp_min(1e-6)
        uv = torch.stack([-azimuth, (0.5 - 0.5 * elevation).clamp(0.01, 0.98)])
        footprint = torch.full_like(azimuth, float(views.inverse_matrix[0, 0]) / (math.pi / 2))
        texture = torch.zeros_like(pixels, dtype=torch.int32)
        return self._atlas.sample(texture, uv, footprint).square_() * self._outside_brightness

    def _albedo(
        self, material: Tensor, points: SurfacePoints, rates: Tensor, footprint: Tensor, mottle: Tensor
    ) -> Tensor:
        """(3, N) display-referred surface colour, with slow and fine unevenness."""
        is_stretched = rates[0] == 0
        uv = torch.where(is_stretched, points.uv_face.clamp(0.003, 0.997), points.uv_m * rates)
        scale = torch.where(is_stretched, 1.5, (rates[0] * rates[1]).sqrt_())
        color = self._atlas.sample(self._texture.index_select(0, material), uv, footprint * scale)
        slow = self._atlas.sample_nearest(
            _CLOUDS_ROW, points.uv_m * (1 / _CLOUDS_TILE_M), footprint * (1 / _CLOUDS_TILE_M)
        )
        fine = self._atlas.sample_nearest(
            _GRAIN_ROW, points.uv_m * (1 / _GRAIN_TILE_M), footprint * (1 / _GRAIN_TILE_M)
        )
        return color.mul_((slow + 0.7 * fine - 0.85) * mottle + 1)

    def _light(self, points: SurfacePoints, room: Tensor, gloss: Tensor) -> tuple[Tensor, Tensor]:
        """(3, N) incident light and (N,) highlight factor."""
        arriving = self._grid.sample(points.position, points.normal, room)
        # a little more from above, so that faces of a box differ even in ambient light
        tilt = 0.85 + 0.15 * points.normal[2] + 0.06 * points.normal[0]
        diffuse = self._ambient.index_select(1, room) * (arriving[-1] * tilt)
        specular = torch.zeros_like(gloss)
        lamps = self._lights.index_select(1, room).view(len(self._lights) // 6, 6, len(gloss))
        for lamp, share in zip(lamps, arriving[:-1], strict=True):
            to_light = lamp[:3] - points.position
            squared = dot(to_light, to_light)
            direction = to_light * squared.rsqrt()
            cosine = dot(points.normal, direction)
            received = (cosine.clamp_min(0) * (1 - _FILL / 2)).add_(cosine.add(1), alpha=_FILL / 2)
            received.div_(squared + 0.35).mul_(share * (1 - _LEAK) + _LEAK)
            diffuse.addcmul_(lamp[3:], received)
            middle = direction + points.view
            aligned = (
                dot(points.normal, middle).clamp_min_(0) * dot(middle, middle).clamp_min_(1e-6).rsqrt_()
            ).square_()
            # to the 48th power by squaring
            sixteenth = aligned.square_().square_().square_()
            specular.addcmul_(sixteenth.square(), sixteenth * share)
        return diffuse, specular.mul_(gloss).mul_(0.6)


def tone_map(radiance: Tensor) -> Tensor:
    """Radiance to display-referred uint8, with soft highlights and the steeper middle of a camera's curve."""
    display = torch.exp(-_EXPOSURE * radiance).neg_().add_(1).clamp_(0, 1).sqrt_()
    curved = display.square() * (3 - 2 * display)
    return display.lerp_(curved, _CONTRAST).mul_(255).add_(0.5).to(torch.uint8)


def _tile_rates(tile: tuple[float, float] | None) -> tuple[float, float]:
    """Repetitions per metre; 0 for a stretched image."""
    return (0.0, 0.0) if tile is None else (1 / tile[0], 1 / tile[1])


def _light_table(apartment: Apartment) -> Tensor:
    """(L * 6, R) position and colour of each room's lights; black lights fill up."""
    table = torch.zeros((MAX_LIGHTS_PER_ROOM, 6, len(apartment.rooms)))
    counts = [0] * len(apartment.rooms)
    for light in apartment.lighting.lights:
        row = light.room_id - 1
        table[counts[row], :, row] = torch.tensor((*light.position, *light.color))
        counts[row] += 1
    return table.flatten(0, 1)
