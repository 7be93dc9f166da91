# SPDX-License-Identifier: Apache-2.0
"""Which primitive each pixel sees, and how far away: ray casting by tiles.

The image is cut into tiles. A primitive is a candidate of the tiles that its projected box touches. Candidates are
tested near to far in rounds, for all tiles at once, and a tile is done when what it has found is nearer than its next
candidate. In a primitive's own unit cube a pixel's ray is an affine function of the pixel, so directions for a whole
tile come out of one small matrix product. A ray's parameter is the depth along the optical axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xover_core.datasets.procedural.primitive_table import PrimitiveTable
from xover_core.datasets.procedural.scene import Shape

NEAR = 0.02
TILE = 16
_ROUND = 4
_TINY = 1e-12
_EDGES = ((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7), (6, 7))


@dataclass(frozen=True, slots=True)
class Views:
    """V cameras in the map with the same intrinsics; float32.

    Attributes:
        R_map_camera: (V, 3, 3).
        t_map_camera: (V, 3).
        matrix: (3, 3) K.
        inverse_matrix: (3, 3) K^-1: pixel (u, v, 1) to a direction with z = 1.
        width: pixels.
        height: pixels.
    """

    R_map_camera: Tensor
    t_map_camera: Tensor
    matrix: Tensor
    inverse_matrix: Tensor
    width: int
    height: int

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(rows, cols) of tiles of one image."""
        return -(-self.height // TILE), -(-self.width // TILE)

    def __len__(self) -> int:
        """Number of cameras V."""
        return len(self.t_map_camera)


@dataclass(frozen=True, slots=True)
class Hits:
    """What the rays of all pixels meet, image by image and row by row.

    Attributes:
        primitive: (V * H * W,) int64 row of the primitive table plus P times the index of the view, -1 for nothing.
        depth: (V * H * W,) float32 along the optical axis, infinite for nothing.
        origins: (V * P, 3) each camera centre in each primitive's unit cube.
    """

    primitive: Tensor
    depth: Tensor
    origins: Tensor


def cast_rays(table: PrimitiveTable, views: Views) -> Hits:
    """Find the first primitive along the ray of every pixel centre.

    Solid primitives are seen from outside only: one that contains the camera is passed through.
    """
    to_unit = table.rotation.transpose(1, 2) / table.half_size[:, :, None]
    origins = (to_unit @ (views.t_map_camera[:, None] - table.center)[..., None])[..., 0].flatten(0, 1)
    directions = (to_unit @ (views.R_map_camera @ views.inverse_matrix)[:, None]).flatten(0, 1)
    rows, cols = views.grid_shape
    best_depth = origins.new_full((len(views) * rows * cols, TILE * TILE), torch.inf)
    best_primitive = torch.full_like(best_depth, -1, dtype=torch.int32)
    rectangles, nearest = _project_boxes(table, views)
    for is_round in (False, True):
        group = (table.shape != Shape.BOX) == is_round
        found = _candidates_of_tiles(group, rectangles, nearest, best_depth, views)
        if found is not None:
            solver = _Intersector(table.shape.repeat(len(views)), directions, origins, cols, rows * cols, is_round)
            _search(solver, *found, best_depth, best_primitive)
    return Hits(primitive=_untile(best_primitive, views).long(), depth=_untile(best_depth, views), origins=origins)


def _project_boxes(table: PrimitiveTable, views: Views) -> tuple[Tensor, Tensor]:
    """Image rectangles (V, P, 4) u0 v0 u1 v1 around the boxes in front of the camera, and nearest depths (V, P).

    The rectangle is empty (u0 > u1) for what lies behind.
    """
    corners = (table.corners - views.t_map_camera[:, None, None]) @ views.R_map_camera[:, None]
    z = corners[..., 2]
    first, second = (torch.as_tensor(e, device=z.device) for e in zip(*_EDGES, strict=True))
    z0, z1 = z[..., first], z[..., second]
    is_cut = (z0 < NEAR) != (z1 < NEAR)
    fraction = torch.where(is_cut, (NEAR - z0) / torch.where(is_cut, z1 - z0, 1.0), 0.0)
    start, end = corners[:, :, first], corners[:, :, second]
    points = torch.cat([corners, start + fraction[..., None] * (end - start)], dim=2)
    is_valid = torch.cat([z >= NEAR, is_cut], dim=2)
    depth = points[..., 2].clamp_min(NEAR)
    u = points[..., 0] / depth * views.matrix[0, 0] + views.matrix[0, 2]
    v = points[..., 1] / depth * views.matrix[1, 1] + views.matrix[1, 2]
    low = [torch.where(is_valid, x, torch.inf).amin(2) for x in (u, v)]
    high = [torch.where(is_valid, x, -torch.inf).amax(2) for x in (u, v)]
    return torch.stack([*low, *high], dim=2), z.amin(2).clamp_min(NEAR)


def _candidates_of_tiles(
    group: Tensor, rectangles: Tensor, nearest: Tensor, best_depth: Tensor, views: Views
) -> tuple[Tensor, Tensor] | None:
    """Candidates of all tiles of all views, nearest first.

    Returns:
        (T, K) primitives counted over all views, padded with 0, and (T, K) depths at which they may begin, padded with
        infinity; None when there are none.
    """
    rows, cols = views.grid_shape
    is_seen = group & (rectangles[..., 2] >= 0) & (rectangles[..., 0] < views.width)
    is_seen &= (rectangles[..., 3] >= 0) & (rectangles[..., 1] < views.height)
    chosen = torch.nonzero(is_seen.any(0))[:, 0]
    if not len(chosen):
        return None
    entry, order = torch.where(is_seen, nearest, torch.inf)[:, chosen].sort(dim=1)
    primitive = chosen[order]
    rectangle = rectangles.gather(1, primitive[..., None].expand(-1, -1, 4))
    left = torch.arange(cols, device=chosen.device) * TILE - 0.51
    top = torch.arange(rows, device=chosen.device) * TILE - 0.51
    in_cols = (rectangle[:, None, :, 0] <= left[:, None] + TILE + 0.02) & (rectangle[:, None, :, 2] >= left[:, None])
    in_rows = (rectangle[:, None, :, 1] <= top[:, None] + TILE + 0.02) & (rectangle[:, None, :, 3] >= top[:, None])
    touches = (in_rows[:, :, None] & in_cols[:, None]).view(len(views), rows * cols, -1)
    touches &= entry[:, None, :] < best_depth.amax(1).view(len(views), -1, 1)
    touches = touches.flatten(0, 1)
    tile, column = torch.nonzero(touches, as_tuple=True)
    counts = touches.sum(1)
    width = -(-int(counts.max()) // _ROUND) * _ROUND
    if width == 0:
        return None
    view = torch.div(tile, rows * cols, rounding_mode="floor")
    slot = torch.arange(len(tile), device=tile.device) - (counts.cumsum(0) - counts)[tile]
    candidates = torch.zeros((len(counts), width), dtype=torch.int64, device=tile.device)
    entries = torch.full((len(counts), width), torch.inf, device=tile.device)
    candidates[tile, slot] = primitive[view, column] + view * group.shape[0]
    entries[tile, slot] = entry[view, column]
    return candidates, entries


@dataclass(frozen=True, slots=True)
class _Intersector:
    """Tests candidate primitives of tiles against all rays of each tile.

    `directions[p] @ (u, v, 1)` is the ray through a pixel in the unit cube of p, which counts over all views.
    """

    shape: Tensor
    directions: Tensor
    origins: Tensor
    tiles_per_row: int
    tiles_per_view: int
    is_round: bool

    def depths(self, tiles: Tensor, candidates: Tensor) -> Tensor:
        """(A, C, TILE * TILE) depth at which each ray enters each of (A, C) candidates, infinite for a miss."""
        tile, cols = tiles % self.tiles_per_view, self.tiles_per_row
        corner = torch.stack([tile % cols, torch.div(tile, cols, rounding_mode="floor")], dim=1) * TILE
        matrix, origin = self.directions[candidates], self.origins[candidates]
        start = matrix[..., 2] + matrix[..., 0] * corner[:, None, :1] + matrix[..., 1] * corner[:, None, 1:]
        step = torch.arange(TILE, device=tiles.device, dtype=torch.float32)
        offsets = torch.stack([step.repeat(TILE), step.repeat_interleave(TILE), torch.ones_like(step).repeat(TILE)])
        basis = torch.stack([matrix[..., 0], matrix[..., 1], start], dim=-1)
        rays = (basis.reshape(-1, 3) @ offsets).view(*candidates.shape, 3, TILE * TILE)
        # no exact zeros: a ray within a face's plane through the middle would give 0 / 0
        rays += _TINY
        if self.is_round:
            return self._enter_round(rays, origin, self.shape[candidates])
        inverse = rays.reciprocal()
        middle = origin[..., None] * inverse
        reach = inverse.abs_()
        enter = (-middle).sub_(reach).amax(2)
        leave = reach.sub_(middle).amin(2)
        return torch.where((enter <= leave) & (enter > NEAR), enter, torch.inf)

    @staticmethod
    def _enter_round(rays: Tensor, origin: Tensor, shape: Tensor) -> Tensor:
        """Entry depth into the unit sphere, or into the unit cylinder about z between z = -1 and 1."""
        weight = torch.ones_like(origin)
        weight[..., 2] = (shape == Shape.ELLIPSOID).float()
        weighted = rays * weight[..., None]
        a = (weighted * rays).sum(2).clamp_min(1e-20)
        b = (weighted * origin[..., None]).sum(2)
        c = (weight * origin * origin).sum(2)[..., None] - 1
        # b^2 - a c through the ray's distance from the axis: no cancellation for small, far things
        foot = origin[..., None] - rays * (b / a)[:, :, None]
        discriminant = a * (1 - (weight[..., None] * foot * foot).sum(2))
        root = discriminant.clamp_min(0).sqrt()
        inverse = rays[:, :, 2].reciprocal()
        middle, reach = -origin[..., 2, None] * inverse, inverse.abs()
        is_inside = c < 0
        enter = torch.maximum((-b - root) / a, middle - reach)
        leave = torch.minimum((-b + root) / a, middle + reach)
        is_hit = (discriminant > 0) & (enter <= leave) & (enter > NEAR) & (~is_inside | (enter > NEAR))
        return torch.where(is_hit, enter, torch.inf)


def _search(
    solver: _Intersector, candidates: Tensor, entry: Tensor, best_depth: Tensor, best_primitive: Tensor
) -> None:
    """Test candidates in rounds; update the best depth (T, N) and primitive (T, N) in place."""
    active = torch.arange(len(candidates), device=candidates.device)
    for start in range(0, candidates.shape[1], _ROUND):
        farthest = best_depth[active].amax(1)
        active = active[entry[active, start] < farthest]
        if not len(active):
            return
        block = candidates[active, start : start + _ROUND]
        is_padding = torch.isinf(entry[active, start : start + _ROUND])
        depth = solver.depths(active, block).masked_fill_(is_padding[:, :, None], torch.inf)
        nearest, which = depth.min(1)
        old = best_depth[active]
        is_nearer = nearest < old
        best_depth[active] = torch.where(is_nearer, nearest, old)
        primitive = block.gather(1, which).int()
        best_primitive[active] = torch.where(is_nearer, primitive, best_primitive[active])


def _untile(tiled: Tensor, views: Views) -> Tensor:
    """(V * T, TILE * TILE) to (V * H * W,) in image order."""
    rows, cols = views.grid_shape
    images = tiled.view(-1, rows, cols, TILE, TILE).transpose(2, 3).reshape(-1, rows * TILE, cols * TILE)
    return images[:, : views.height, : views.width].reshape(-1)
