# SPDX-License-Identifier: Apache-2.0
"""Small pictures of views with their features and what each pixel shows, as training keeps and as it changes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xover_core.datasets.scene_scan import ScanView
from xover_core.encoders.view_pixels import PICTURE_SIZE, small_picture, stack_planes
from xover_core.geometry.camera import resize_intrinsics
from xover_core.geometry.depth import nearest_pixels
from xover_core.networks.view_recognition import CELL_PX
from xover_core.training import image_changes as changes
from xover_core.training.depth_noise import DepthNoiseSettings, disturb_depth
from xover_core.training.inventory_vocabulary import UNKNOWN, ThingCodes
from xover_core.types import CameraIntrinsics, Float32Array, Float64Array

LABEL_PX = 2
"""Of a square of so many pixels of a picture, one is labelled."""
# Parts of a picture that are shown instead of all of it, and how often they are mirrored.
_CUT_SHARE, _SMALLEST_CUT, _MIRRORED_SHARE = 0.7, 0.6, 0.3
# Features are kept in 8 bits; none of their numbers is larger than a half.
_FEATURE_SCALE = 254.0
_STOPS, _WHITE_BALANCE, _GAMMA, _NOISE = 0.3, 0.06, 0.15, 0.03
_MAX_COLOR, _MM_PER_M = 255.0, 1000.0
_DEPTH_NOISE = DepthNoiseSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPicture:
    """One view.

    Attributes:
        rgb: (120, 160, 3) uint8.
        depth_mm: (120, 160) uint16, 0 without reading.
        camera: of images of this size.
        patches: (rows, columns, D) int8 features of patches, 254 = 1; zeros where there are none.
        classes: (60, 80) int8 rows of `inventory_vocabulary.CLASSES`; -1 where nobody knows.
        looks: (60, 80) int8 rows of `inventory_vocabulary.LOOKS`; -1 without.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    camera: CameraIntrinsics
    patches: NDArray[np.int8]
    classes: NDArray[np.int8]
    looks: NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownView:
    """A view as the network sees it.

    Attributes:
        pixels: (7, 120, 160) planes of `encoders.view_pixels`.
        patches: (D, rows, columns) float32 features.
        classes: (N, 4) int64 of the labelled pixels of each cell.
        looks: (N, 4) int64.
    """

    pixels: Float32Array
    patches: Float32Array
    classes: NDArray[np.int64]
    looks: NDArray[np.int64]


def take_picture(view: ScanView, features: Float32Array, codes: ThingCodes) -> ViewPicture:
    """A view of a scan, made small, with (rows, columns, D) features of its patches."""
    width, height = PICTURE_SIZE
    rgb, depth_mm = small_picture(view.rgb, view.depth)
    shape = height // LABEL_PX, width // LABEL_PX
    classes, looks = np.full(shape, UNKNOWN, np.int8), np.full(shape, UNKNOWN, np.int8)
    if view.instance is not None:
        rows, columns = (nearest_pixels(*sides) for sides in zip(shape, view.instance.shape, strict=True))
        ids = np.clip(view.instance[rows[:, None], columns[None]], 0, len(codes.classes) - 1)
        classes, looks = codes.classes[ids].astype(np.int8), codes.looks[ids].astype(np.int8)
    camera = resize_intrinsics(view.intrinsics, width, height)
    patches = np.clip(np.rint(features * _FEATURE_SCALE), -127, 127).astype(np.int8)
    return ViewPicture(rgb=rgb, depth_mm=depth_mm, camera=camera, patches=patches, classes=classes, looks=looks)


def show(picture: ViewPicture) -> ShownView:
    """A picture as it is."""
    return ShownView(
        pixels=stack_planes(picture.rgb, picture.depth_mm, picture.camera),
        patches=_features(picture),
        classes=_by_cell(picture.classes),
        looks=_by_cell(picture.looks),
    )


def show_changed(picture: ViewPicture, rng: np.random.Generator) -> ShownView:
    """A picture cut, mirrored, in another light, with the errors and holes of a depth camera, or without any depth."""
    cut = _cut(picture, rng) if rng.random() < _CUT_SHARE else picture
    cut = _mirrored(cut) if rng.random() < _MIRRORED_SHARE else cut
    rgb = cut.rgb.astype(np.float32) / np.float32(_MAX_COLOR)
    rgb = changes.change_white_balance(changes.change_exposure(rgb, rng, _STOPS), rng, _WHITE_BALANCE)
    rgb = changes.add_noise(changes.change_gamma(rgb, rng, _GAMMA), rng, _NOISE)
    seen = np.rint(np.clip(rgb, 0, 1) * _MAX_COLOR).astype(np.uint8)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    depth = torch.from_numpy(cut.depth_mm.astype(np.float32) / np.float32(_MM_PER_M))
    disturbed = disturb_depth(depth[None], _DEPTH_NOISE, generator)[0].numpy() * _MM_PER_M
    return ShownView(
        pixels=stack_planes(seen, np.rint(disturbed).astype(np.uint16), cut.camera),
        patches=_features(cut),
        classes=_by_cell(cut.classes),
        looks=_by_cell(cut.looks),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureStack:
    """All views of a scan, as they are kept.

    Attributes:
        rgb: (V, 120, 160, 3) uint8.
        depth_mm: (V, 120, 160) uint16.
        cameras: (V, 4) float64 fx, fy, cx, cy.
        patches: (V, rows, columns, D) int8.
        classes: (V, 60, 80) int8.
        looks: (V, 60, 80) int8.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    cameras: Float64Array
    patches: NDArray[np.int8]
    classes: NDArray[np.int8]
    looks: NDArray[np.int8]

    def __len__(self) -> int:
        """V."""
        return len(self.rgb)

    def __getitem__(self, view: int) -> ViewPicture:
        """One view."""
        fx, fy, cx, cy = self.cameras[view].tolist()
        height, width = self.depth_mm.shape[1:]
        return ViewPicture(
            rgb=self.rgb[view],
            depth_mm=self.depth_mm[view],
            camera=CameraIntrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height),
            patches=self.patches[view],
            classes=self.classes[view],
            looks=self.looks[view],
        )


def stack_pictures(pictures: Sequence[ViewPicture]) -> PictureStack:
    """All of a scan; none give a stack of length 0."""
    width, height = PICTURE_SIZE
    marked = height // LABEL_PX, width // LABEL_PX
    cameras = [(one.camera.fx, one.camera.fy, one.camera.cx, one.camera.cy) for one in pictures]
    return PictureStack(
        rgb=np.array([one.rgb for one in pictures], np.uint8).reshape(-1, height, width, 3),
        depth_mm=np.array([one.depth_mm for one in pictures], np.uint16).reshape(-1, height, width),
        cameras=np.array(cameras, np.float64).reshape(-1, 4),
        patches=np.stack([one.patches for one in pictures]) if pictures else np.zeros((0, 0, 0, 0), np.int8),
        classes=np.array([one.classes for one in pictures], np.int8).reshape(-1, *marked),
        looks=np.array([one.looks for one in pictures], np.int8).reshape(-1, *marked),
    )


def _cut(picture: ViewPicture, rng: np.random.Generator) -> ViewPicture:
    """A part of a picture, enlarged, with other proportions."""
    height, width = picture.depth_mm.shape
    share = rng.uniform(_SMALLEST_CUT, 1, 2)
    top, left = (1 - share) * rng.random(2) * (height, width)
    rows, columns = _positions(top, share[0], height), _positions(left, share[1], width)
    marked = (rows[::LABEL_PX] // LABEL_PX)[:, None], (columns[::LABEL_PX] // LABEL_PX)[None]
    num_rows, num_columns = picture.patches.shape[:2]
    described = _positions(top * num_rows / height, share[0], num_rows)
    camera = picture.camera
    return ViewPicture(
        rgb=picture.rgb[rows[:, None], columns[None]],
        depth_mm=picture.depth_mm[rows[:, None], columns[None]],
        camera=CameraIntrinsics(
            fx=camera.fx / share[1],
            fy=camera.fy / share[0],
            cx=(camera.cx + 0.5 - left) / share[1] - 0.5,
            cy=(camera.cy + 0.5 - top) / share[0] - 0.5,
            width=width,
            height=height,
        ),
        patches=picture.patches[described][:, _positions(left * num_columns / width, share[1], num_columns)],
        classes=picture.classes[marked],
        looks=picture.looks[marked],
    )


def _positions(start: float, share: float, length: int) -> NDArray[np.intp]:
    """(length,) the pixel of a side that each pixel of its enlarged part lies in."""
    return np.asarray(np.clip(start + (np.arange(length) + 0.5) * share, 0, length - 1), np.intp)


def _mirrored(picture: ViewPicture) -> ViewPicture:
    """Left is right; features would be others, so there are none."""
    camera = picture.camera
    return ViewPicture(
        rgb=picture.rgb[:, ::-1],
        depth_mm=picture.depth_mm[:, ::-1],
        camera=CameraIntrinsics(
            fx=camera.fx, fy=camera.fy, cx=camera.width - 1 - camera.cx, cy=camera.cy,
            width=camera.width, height=camera.height,
        ),
        patches=np.zeros_like(picture.patches),
        classes=picture.classes[:, ::-1],
        looks=picture.looks[:, ::-1],
    )  # fmt: skip


def _features(picture: ViewPicture) -> Float32Array:
    """(D, rows, columns)."""
    scaled = picture.patches.transpose(2, 0, 1).astype(np.float32)
    return np.asarray(scaled / np.float32(_FEATURE_SCALE), np.float32)


def _by_cell(labels: NDArray[np.int8]) -> NDArray[np.int64]:
    """(H, W) to (N, 4) int64: those of each cell, row by row."""
    side = CELL_PX // LABEL_PX
    rows, columns = labels.shape[0] // side, labels.shape[1] // side
    split = labels.reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(split.reshape(rows * columns, side * side), np.int64)
