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
from xover_core.datasets.procedural.ray_caster import View
from xover_core.datasets.procedural.scene import Texture
from xover_core.datasets.procedural.surface import SurfacePoints
from xover_core.datasets.procedural.texture_atlas import TextureAtlas

_MOTTLE = Texture(kind="granite", seed=1, colors=((0.72, 0.72, 0.72), (0.28, 0.28, 0.28)))
_MOTTLE_TILE_M = 3.3
_DETAIL_TILE_M = 0.31
_EXPOSURE = 1.25
_FILL = 0.18


class Shader:
    """Shades surface points of one apartment."""

    def __init__(self, apartment: Apartment, table: PrimitiveTable) -> None:
        """Synthesize the textures and trace the light grid."""
        device = table.center.device
        used = [m.texture for m in table.materials]
        textures = tuple(dict.fromkeys([apartment.lighting.outside, _MOTTLE, *used]))
        index = {texture: i for i, texture in enumerate(textures)}
        self._table = table
        self._atlas = TextureAtlas(textures, device)
        self._grid = LightGrid(apartment, table)
        self._texture = torch.tensor([index[t] for t in used], dtype=torch.int32, device=device)
        rows = [(*_tile_rates(m.tile), *m.tint, m.gloss, m.emission, m.mottle) for m in table.materials]
        self._material = torch.tensor(rows, dtype=torch.float32, device=device)
        self._outside_brightness = apartment.lighting.outside_brightness
        self._ambient = torch.tensor([color for _, color in apartment.lighting.ambient], device=device)
        self._light_position, self._light_color = _light_tables(apartment, device)

    def shade(self, points: SurfacePoints, focal_px: float) -> Tensor:
        """(N, 3) radiance of surface points."""
        material = self._table.material[points.primitive]
        rates, tint, gloss, emission, mottle = self._material[material].split((2, 3, 1, 1, 1), dim=1)
        facing = (points.normal * points.view).sum(1).clamp_min(0.05)
        footprint = points.depth / focal_px * facing.rsqrt()
        albedo = self._albedo(material, points, rates, footprint, mottle) * tint
        albedo = albedo * albedo
        room = self._table.room[points.primitive]
        diffuse, specular = self._light(points, room, gloss[:, 0])
        return albedo * (diffuse + emission) + specular[:, None] * diffuse

    def outside(self, pixels: Tensor, view: View) -> Tensor:
        """(N, 3) radiance of what lies beyond the windows in the direction of pixels (N,)."""
        rays = torch.stack([(pixels % view.width).float(), (pixels // view.width).float(), torch.ones(len(pixels), device=pixels.device)], dim=1)
        direction = rays @ (view.R_map_camera @ view.inverse_matrix).T
        azimuth = torch.atan2(direction[:, 1], direction[:, 0]) / (math.pi / 2)
        elevation = direction[:, 2] / direction[:, :2].norm(dim=1).clamp_min(1e-6)
        v = (0.5 - 0.5 * elevation).clamp(0.01, 0.98)
        footprint = torch.full_like(v, float(view.inverse_matrix[0, 0]) / (math.pi / 2))
        texture = torch.zeros(len(pixels), dtype=torch.int32, device=pixels.device)
        color = self._atlas.sample(texture, -azimuth, v, footprint)
        return color * color * self._outside_brightness

    def _albedo(self, material: Tensor, points: SurfacePoints, rates: Tensor, footprint: Tensor, mottle: Tensor) -> Tensor:
        """(N, 3) display-referred surface colour, with slow and fine unevenness."""
        is_stretched = rates[:, :1] == 0
        uv = torch.where(is_stretched, points.uv_face.clamp(0.003, 0.997), points.uv_m * rates)
        scale = torch.where(is_stretched[:, 0], 1.5, (rates[:, 0] * rates[:, 1]).sqrt())
        color = self._atlas.sample(self._texture[material], uv[:, 0], uv[:, 1], footprint * scale)
        noise = torch.ones_like(self._texture[material])
        slow = self._atlas.sample_nearest(noise, points.uv_m / _MOTTLE_TILE_M, footprint / _MOTTLE_TILE_M)
        fine = self._atlas.sample_nearest(noise, points.uv_m / _DETAIL_TILE_M, footprint / _DETAIL_TILE_M)
        return color * (1 + mottle * (slow + fine - 1.0)[:, None])

    def _light(self, points: SurfacePoints, room: Tensor, gloss: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3) incident light and (N,) highlight factor."""
        arriving = self._grid.sample(points.position, points.normal, room)
        # a little more from above, so that faces of a box differ even in ambient light
        tilt = 0.85 + 0.15 * points.normal[:, 2] + 0.06 * points.normal[:, 0]
        diffuse = self._ambient[room] * (arriving[:, -1] * tilt)[:, None]
        specular = torch.zeros_like(gloss)
        for k in range(MAX_LIGHTS_PER_ROOM):
            to_light = self._light_position[room, k] - points.position
            squared = (to_light * to_light).sum(1)
            direction = to_light * squared.rsqrt()[:, None]
            cosine = (points.normal * direction).sum(1)
            received = (cosine.clamp_min(0) * (1 - _FILL) + _FILL * (0.5 + 0.5 * cosine)) / (squared + 0.35)
            strength = received * (0.12 + 0.88 * arriving[:, k])
            diffuse = diffuse + self._light_color[room, k] * strength[:, None]
            middle = direction + points.view
            aligned = (points.normal * middle).sum(1) * (middle * middle).sum(1).clamp_min(1e-6).rsqrt()
            specular = specular + gloss * aligned.clamp(0, 1) ** 48 * arriving[:, k]
        return diffuse, specular * 0.6


def tone_map(radiance: Tensor) -> Tensor:
    """(N, 3) radiance to display-referred uint8 with soft highlights."""
    exposed = 1 - torch.exp(-_EXPOSURE * radiance)
    return (exposed.clamp(0, 1).sqrt() * 255 + 0.5).to(torch.uint8)


def _tile_rates(tile: tuple[float, float] | None) -> tuple[float, float]:
    """Repetitions per metre; 0 for a stretched image."""
    return (0.0, 0.0) if tile is None else (1 / tile[0], 1 / tile[1])


def _light_tables(apartment: Apartment, device: torch.device) -> tuple[Tensor, Tensor]:
    """(R, L, 3) positions and colours; black lights fill up."""
    shape = (len(apartment.rooms), MAX_LIGHTS_PER_ROOM, 3)
    position, color = torch.zeros(shape), torch.zeros(shape)
    counts = [0] * len(apartment.rooms)
    for light in apartment.lighting.lights:
        row, slot = light.room_id - 1, counts[light.room_id - 1]
        position[row, slot], color[row, slot] = torch.tensor(light.position), torch.tensor(light.color)
        counts[row] += 1
    return position.to(device), color.to(device)
