# SPDX-License-Identifier: Apache-2.0
"""Soft shadows and dark corners, computed once for an apartment.

Each room is filled with a coarse grid of points. At each point the share of each light that arrives there and the
openness of the surroundings are stored; a pixel interpolates. The coarseness is what makes the shadows soft.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.lighting_design import MAX_LIGHTS_PER_ROOM
from xover_core.datasets.procedural.primitive_table import PrimitiveTable
from xover_core.datasets.procedural.scene import STRUCTURE_CLASSES, ObjectClass, Room, Shape

_POINTS = (12, 24, 24)
_AMBIENT_REACH = 5
_LIFT = 0.12
_CHUNK = 2048


class LightGrid:
    """Light visibility and openness at points of all rooms."""

    def __init__(self, apartment: Apartment, table: PrimitiveTable) -> None:
        """Trace all grid points of all rooms to the lights of their room."""
        device = table.center.device
        bounds = [(*room.lower, 0.0, *room.upper, room.height) for room in apartment.rooms]
        self._bounds = torch.tensor(bounds, dtype=torch.float32, device=device)
        volumes = [self._trace_room(apartment, room, table) for room in apartment.rooms]
        self._volume = torch.cat(volumes, dim=1)[None].contiguous()

    def sample(self, points_map: Tensor, normals_map: Tensor, room: Tensor) -> Tensor:
        """(L + 1, N): share of each light that arrives, then openness, at surface points (3, N) of rooms (N,)."""
        bounds = self._bounds.T.contiguous().index_select(1, room)
        lower, upper = bounds[:3], bounds[3:]
        relative = ((points_map + _LIFT * normals_map - lower) / (upper - lower)).clamp_(0, 1)
        depth = _POINTS[0]
        z = (relative[2] * depth).clamp_(0.5, depth - 0.5) + room * depth
        total = self._volume.shape[2]
        grid = torch.stack([relative[0] * 2 - 1, relative[1] * 2 - 1, z * (2 / total) - 1], dim=1)
        sampled = functional.grid_sample(
            self._volume, grid[None, None, None], mode="bilinear", padding_mode="border", align_corners=False
        )
        return sampled[0, :, 0, 0]

    def _trace_room(self, apartment: Apartment, room: Room, table: PrimitiveTable) -> Tensor:
        """(L + 1, z, y, x) values of one room."""
        index = room.room_id - 1
        points = self._grid_points(index)
        occluders = self._occluders(table, index)
        values = torch.ones((MAX_LIGHTS_PER_ROOM + 1, len(points)), device=points.device)
        if len(occluders):
            lights = [light for light in apartment.lighting.lights if light.room_id == room.room_id]
            solid = torch.zeros(len(points), dtype=torch.bool, device=points.device)
            for begin in range(0, len(points), _CHUNK):
                chunk = slice(begin, begin + _CHUNK)
                local = _to_unit(table, occluders, points[chunk])
                solid[chunk] = _is_inside(table, occluders, local)
                for k, light in enumerate(lights):
                    end = torch.tensor([light.position], dtype=torch.float32, device=points.device)
                    values[k, chunk] = _arrives(table, occluders, local, _to_unit(table, occluders, end))
            values[-1] = self._openness(solid.view(_POINTS)).reshape(-1)
        else:
            values[-1] = self._openness(torch.zeros(_POINTS, dtype=torch.bool, device=points.device)).reshape(-1)
        return values.view(-1, *_POINTS)

    def _grid_points(self, index: int) -> Tensor:
        """(z * y * x, 3) centres of a room's grid cells in the map."""
        lower, upper = self._bounds[index, :3], self._bounds[index, 3:]
        axes = [(torch.arange(n, device=lower.device) + 0.5) / n for n in _POINTS]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        return torch.stack([x, y, z], dim=-1).view(-1, 3) * (upper - lower) + lower

    @staticmethod
    def _occluders(table: PrimitiveTable, index: int) -> Tensor:
        """Rows of furniture parts of a room that are large enough to matter and are no lamps."""
        ignored = [
            int(c)
            for c in (*STRUCTURE_CLASSES, ObjectClass.CEILING_LAMP, ObjectClass.FLOOR_LAMP, ObjectClass.TABLE_LAMP)
        ]
        is_ignored = torch.isin(table.semantic, torch.tensor(ignored, dtype=torch.int16, device=table.semantic.device))
        volume = table.half_size.sort(dim=1).values
        is_large = (volume[:, 1] > 0.02) & (volume[:, 2] > 0.08)
        return torch.nonzero((table.room == index) & ~is_ignored & is_large)[:, 0]

    @staticmethod
    def _openness(solid: Tensor) -> Tensor:
        """(z, y, x) how little stands around each cell; walls, floor and ceiling count as solid."""
        filled = functional.pad(solid.float()[None, None], (_AMBIENT_REACH // 2,) * 6, value=1.0)
        filled = functional.avg_pool3d(filled, _AMBIENT_REACH, stride=1)
        return (1.1 - 1.1 * filled[0, 0]).clamp(0.15, 1.0)


def _to_unit(table: PrimitiveTable, rows: Tensor, points_map: Tensor) -> Tensor:
    """(M, 3, N) map points (N, 3) in the unit cubes of M primitives."""
    to_unit = table.rotation[rows].transpose(1, 2) / table.half_size[rows][:, :, None]
    return to_unit @ (points_map.T - table.center[rows][:, :, None])


def _is_inside(table: PrimitiveTable, rows: Tensor, local: Tensor) -> Tensor:
    """(N,) whether points lie in any primitive; round shapes count as boxes a bit smaller."""
    limit = torch.where(table.shape[rows] == Shape.BOX, 1.0, 0.85)[:, None]
    return (local.abs().amax(1) < limit).any(0)


def _arrives(table: PrimitiveTable, rows: Tensor, local: Tensor, light: Tensor) -> Tensor:
    """(N,) 1 where the segment to the light is free, else 0; round shapes count as boxes a bit smaller."""
    limit = torch.where(table.shape[rows] == Shape.BOX, 1.0, 0.85)[:, None, None]
    inverse = (light - local).add_(1e-9).reciprocal_()
    middle = local * inverse
    reach = inverse.abs_().mul_(limit)
    enter, leave = (-middle).sub_(reach).amax(1), reach.sub_(middle).amin(1)
    is_blocked = (enter < leave) & (leave > 0.0) & (enter < 0.97)
    return 1.0 - is_blocked.any(0).float()
