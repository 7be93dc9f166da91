# SPDX-License-Identifier: Apache-2.0
"""Frames -> inputs of a patch encoder's network, by which the scales of an int8 export are fixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from xover_core.encoders.compact_encoder import resize_depth
from xover_core.encoders.patch_grid import make_patch_grid, resize_to_grid
from xover_core.errors import ConfigError
from xover_core.geometry.camera import resize_intrinsics
from xover_core.inference.compact_graph import INPUT_NAMES as COMPACT_INPUTS
from xover_core.inference.locus_graph import INPUT_NAME as PICTURE_INPUT
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.picture_session import prepare_picture
from xover_core.inference.session import Arrays
from xover_core.types import RgbdFrame


def calibration_inputs(graph: ModelGraph, frames: Iterable[RgbdFrame], image_height: int) -> Iterator[Arrays]:
    """What an encoder would give its network.

    Args:
        graph: of an encoder of frames or of pictures; of any size, or of one.
        frames: such as the encoder will see.
        image_height: working height, px; 8 for each row of patches. A fixed size has its own.

    Raises:
        ConfigError: the network does not take frames.
    """
    names = tuple(spec.name for spec in graph.inputs)
    if names not in (COMPACT_INPUTS, (PICTURE_INPUT,)):
        raise ConfigError(
            f"calibration: expected a network of frames, {graph.name} takes {', '.join(names)}; leave the frames out."
        )
    is_compact = names == COMPACT_INPUTS
    return (
        _compact(graph, frame, image_height) if is_compact else _picture(graph, frame, image_height) for frame in frames
    )


def _compact(graph: ModelGraph, frame: RgbdFrame, image_height: int) -> Arrays:
    """Colour, depth and camera at the working size."""
    height, width = graph.inputs[0].shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        grid = make_patch_grid(width, height, height)
    else:
        grid = make_patch_grid(frame.intrinsics.width, frame.intrinsics.height, image_height)
    camera = resize_intrinsics(frame.intrinsics, *grid.working_size)
    values = (
        resize_to_grid(frame.rgb, grid).transpose(2, 0, 1)[None] * np.float32(1 / 255),
        resize_depth(frame.depth, grid)[None],
        np.array([[camera.fx, camera.fy, camera.cx, camera.cy]]),
    )
    return {name: np.ascontiguousarray(value, np.float32) for name, value in zip(COMPACT_INPUTS, values, strict=True)}


def _picture(graph: ModelGraph, frame: RgbdFrame, image_height: int) -> Arrays:
    """Colour at the size that gives as many patches as the grid of all encoders has."""
    height, width = graph.inputs[0].shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        return {PICTURE_INPUT: prepare_picture(frame.rgb, (height, width))}
    grid = make_patch_grid(frame.intrinsics.width, frame.intrinsics.height, image_height)
    patch = int(str(height).partition("*")[0])
    return {PICTURE_INPUT: prepare_picture(frame.rgb, (grid.grid_shape[0] * patch, grid.grid_shape[1] * patch))}
