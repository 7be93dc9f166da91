# SPDX-License-Identifier: Apache-2.0
"""Co-segmentation picture (LoCUS, Fig. 3): one patch, how similar all patches of other views are, PCA colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xover_core.evaluation.protocols.patch_retrieval import RetrievalExample
from xover_core.evaluation.protocols.patch_sources import protocol_grid
from xover_core.evaluation.protocols.posed_frames import PosedFrame
from xover_core.evaluation.protocols.view_overlap import is_seen, make_coarse_view
from xover_core.geometry.camera import project
from xover_core.geometry.transforms import invert, transform_points
from xover_core.types import Float32Array, Float64Array

# Views beside the one with the query.
_NUM_VIEWS = 4
_PANEL_HEIGHT_INCH = 2.1
_DPI = 130
_HEAT = "inferno"
# The picture shines through where patches are unlike the query.
_OPACITY_LOW, _OPACITY_HIGH = 0.2, 0.85
_QUERY_COLOR, _TRUTH_COLOR = "#00d0ff", "#00ff66"
# Share of the values of each principal direction that is cut off at either end, so that few outliers do not take all
# the contrast.
_PCA_CUT_PERCENT = 2.0


def draw_cosegmentation(example: RetrievalExample, path: Path) -> None:
    """Write the picture as PNG; folders on the way are made.

    The query is the one of the batch that most other frames see (the first of several); the views beside it are those
    frames, evenly chosen. Nothing in the choice depends on the descriptors.
    """
    batch = example.batch
    number = int(np.argmax([len(np.unique(batch.frame_of[ring == 0])) for ring in example.rings]))
    query = int(batch.queries[number])
    home = int(batch.frame_of[query])
    frames = [batch.frames[i] for i in (home, *_other_views(example, number, home))]
    described = [example.feature.finish(example.feature.source.describe(f.frame)) for f in frames]
    row = query - int(np.searchsorted(batch.frame_of, home))
    target = described[0][batch.patch_rows[home][row]]
    figure = _draw(frames, [d @ target for d in described], _pca_colors(described), batch.points_world[query])
    figure.suptitle(
        f"{example.feature.name}. Above: similarity of all patches to one (square); circles: where its 3D point is."
        " Below: the three main directions of all descriptors as colours.",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=_DPI)


def _other_views(example: RetrievalExample, number: int, home: int) -> list[int]:
    """Other frames that hold right patches, evenly chosen; any others where these are too few."""
    frame_of = example.batch.frame_of
    seeing = [int(f) for f in np.unique(frame_of[example.rings[number] == 0]) if f != home]
    if len(seeing) >= _NUM_VIEWS:
        return [seeing[i] for i in np.rint(np.linspace(0, len(seeing) - 1, _NUM_VIEWS)).astype(int)]
    rest = [f for f in range(len(example.batch.frames)) if f != home and f not in seeing]
    return (seeing + rest)[:_NUM_VIEWS]


def _draw(
    frames: list[PosedFrame], similarities: list[Float32Array], colors: list[Float32Array], point_world: Float64Array
) -> Figure:
    """Heat maps above, PCA colours below; the first frame is the one with the query."""
    rest = np.concatenate(similarities[1:])
    limits = Normalize(max(0.0, float(np.median(rest))), float(rest.max()))
    camera = frames[0].frame.intrinsics
    width = _PANEL_HEIGHT_INCH * camera.width / camera.height * len(frames) + 0.8
    figure = Figure(figsize=(width, 2 * _PANEL_HEIGHT_INCH + 0.7), layout="constrained")
    axes = figure.subplots(2, len(frames), squeeze=False)
    for column, posed in enumerate(frames):
        _draw_heat(axes[0, column], posed.frame.rgb, similarities[column], limits)
        _mark_point(axes[0, column], posed, point_world, is_home=column == 0)
        axes[0, column].set_title(f"frame {posed.name}", fontsize=8)
        _draw_patches(axes[1, column], posed.frame.rgb, colors[column])
    bar = figure.colorbar(ScalarMappable(limits, _HEAT), ax=axes[0, :].tolist(), pad=0.01, shrink=0.9)
    bar.set_label("cosine", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _draw_heat(axes: Axes, rgb: NDArray[np.uint8], similarity: Float32Array, limits: Normalize) -> None:
    """The picture in grey with the similarity of its patches on top."""
    axes.imshow(rgb.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    strength = np.clip(np.asarray(limits(similarity)), 0, 1).reshape(protocol_grid(rgb).grid_shape)
    opacity = _OPACITY_LOW + (_OPACITY_HIGH - _OPACITY_LOW) * strength
    axes.imshow(strength, cmap=_HEAT, vmin=0, vmax=1, alpha=opacity, extent=_extent(rgb), interpolation="nearest")
    _clean(axes, rgb)


def _draw_patches(axes: Axes, rgb: NDArray[np.uint8], colors: Float32Array) -> None:
    """One colour for each patch."""
    grid = colors.reshape(*protocol_grid(rgb).grid_shape, 3)
    axes.imshow(grid, extent=_extent(rgb), interpolation="nearest")
    _clean(axes, rgb)


def _mark_point(axes: Axes, posed: PosedFrame, point_world: Float64Array, *, is_home: bool) -> None:
    """A square around the query patch, a circle where its point truly is in another view, if seen there."""
    camera = posed.frame.intrinsics
    pixel = project(transform_points(invert(posed.T_world_camera), point_world[None]), camera)[0]
    coarse = make_coarse_view(posed.frame, posed.depth, posed.T_world_camera, np.inf)
    if not is_home and not is_seen(point_world[None], coarse)[0]:
        return
    shape, color = ("s", _QUERY_COLOR) if is_home else ("o", _TRUTH_COLOR)
    # dark below light, to be seen on every background
    for edge, width in (("black", 3.0), (color, 1.6)):
        axes.plot(*pixel, shape, markersize=12, markerfacecolor="none", markeredgecolor=edge, markeredgewidth=width)


def _pca_colors(descriptors: list[Float32Array]) -> list[Float32Array]:
    """(N, 3) in [0, 1] for each view: the three main directions over all, each stretched to its own range."""
    together = np.concatenate(descriptors)
    centred = together - together.mean(axis=0)
    directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, ::-1][:, :3]
    projected = centred @ directions.astype(np.float32)
    low, high = np.percentile(projected, (_PCA_CUT_PERCENT, 100 - _PCA_CUT_PERCENT), axis=0)
    stretched = np.clip((projected - low) / np.maximum(high - low, 1e-9), 0, 1).astype(np.float32)
    return np.split(stretched, np.cumsum([len(d) for d in descriptors])[:-1])


def _extent(rgb: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Where a grid lies in the pixels of its image."""
    return (-0.5, rgb.shape[1] - 0.5, rgb.shape[0] - 0.5, -0.5)


def _clean(axes: Axes, rgb: NDArray[np.uint8]) -> None:
    """No ticks; the whole picture and no more."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(-0.5, rgb.shape[1] - 0.5)
    axes.set_ylim(rgb.shape[0] - 0.5, -0.5)
