# SPDX-License-Identifier: Apache-2.0
"""Pictures of queries beside the keyframes that they were matched to, and a fair choice of which to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xover_core.evaluation.metrics import is_wrong
from xover_core.evaluation.records import QueryRecord
from xover_core.evaluation.replay import ReplayedQuery
from xover_core.landmark_map.landmark_map import LandmarkMap
from xover_core.types import Keyframe, PatchMatches

_PANEL_HEIGHT = 240
_GAP_PX = 6
_MAX_LINES = 70
_INLIER_RGB = (30, 170, 60)
_OUTLIER_RGB = (150, 150, 150)
_EMPTY_RGB = (235, 235, 235)
KINDS = ("right", "wrong", "unanswered")

RgbImage = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchExample:
    """A query worth looking at.

    Attributes:
        kind: one of `KINDS`.
        record: the query's record.
        picture: (240, W, 3) uint8, query left and keyframe right.
    """

    kind: str
    record: QueryRecord
    picture: RgbImage


class ExampleCollector:
    """Keeps a few queries of each kind, every one with the same chance (reservoir sampling)."""

    def __init__(self, landmark_map: LandmarkMap, *, num_per_kind: int = 4, seed: int = 0) -> None:
        self._map = landmark_map
        self._num_per_kind = num_per_kind
        self._random = np.random.default_rng(seed)
        self._num_seen = dict.fromkeys(KINDS, 0)
        self._kept: dict[str, list[MatchExample]] = {kind: [] for kind in KINDS}

    def offer(self, query: ReplayedQuery) -> None:
        """Look at a query and perhaps keep it."""
        kind = example_kind(query.record)
        kept = self._kept[kind]
        place = int(self._random.integers(self._num_seen[kind] + 1))
        self._num_seen[kind] += 1
        if len(kept) < self._num_per_kind:
            kept.append(self._draw(kind, query))
        elif place < self._num_per_kind:
            kept[place] = self._draw(kind, query)

    @property
    def examples(self) -> tuple[MatchExample, ...]:
        """What was kept, by kind and then by time."""
        return tuple(e for kind in KINDS for e in sorted(self._kept[kind], key=lambda e: e.record.stamp_ns))

    def _draw(self, kind: str, query: ReplayedQuery) -> MatchExample:
        matches = query.result.matches
        keyframe = self._map.keyframe(matches.keyframe_id) if matches else None
        picture = draw_matches(query.item.frame.rgb, keyframe, matches)
        return MatchExample(kind=kind, record=query.record, picture=picture)


def choose_examples(records: Sequence[QueryRecord], *, num_per_kind: int = 4, seed: int = 0) -> list[QueryRecord]:
    """A random choice of each kind, for when pictures can only be made of a few."""
    random = np.random.default_rng(seed)
    chosen = []
    for kind in KINDS:
        of_kind = [r for r in records if example_kind(r) == kind]
        picks = random.choice(len(of_kind), min(num_per_kind, len(of_kind)), replace=False)
        chosen += [of_kind[i] for i in sorted(picks.tolist())]
    return chosen


def example_kind(record: QueryRecord) -> str:
    """Whether a query was answered rightly, wrongly, or not."""
    if not record.is_answered:
        return "unanswered"
    return "wrong" if is_wrong(record) else "right"


def draw_matches(rgb: RgbImage, keyframe: Keyframe | None, matches: PatchMatches | None) -> RgbImage:
    """Draw a query beside its keyframe with lines between some of the matches: green inliers over grey outliers.

    Args:
        rgb: (H, W, 3) query image.
        keyframe: None gives an empty right half.
        matches: in pixels of the original images.

    Returns:
        (240, W', 3) uint8.
    """
    left, left_scale = _panel(rgb)
    if keyframe is None or matches is None:
        return _side_by_side(left, np.full_like(left, _EMPTY_RGB))
    right, _ = _panel(_decode_jpeg(keyframe.thumbnail_jpeg))
    canvas = _side_by_side(left, right)
    right_scale = right.shape[0] / keyframe.intrinsics.height
    query_px = matches.query_px * left_scale
    keyframe_px = matches.keyframe_px * right_scale + np.array([left.shape[1] + _GAP_PX, 0])
    # every n-th, so that the picture below stays visible and the share of inliers stays true
    step = max(1, -(-len(query_px) // _MAX_LINES))
    for is_inlier, color in ((False, _OUTLIER_RGB), (True, _INLIER_RGB)):
        rows = np.flatnonzero(matches.is_inlier == is_inlier)[::step]
        _draw_lines(canvas, query_px[rows], keyframe_px[rows], color)
    return canvas


def encode_jpeg(rgb: RgbImage, quality: int = 85) -> bytes:
    """(H, W, 3) uint8 RGB as JPEG."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def _decode_jpeg(data: bytes) -> RgbImage:
    """JPEG to (H, W, 3) uint8 RGB."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(bgr, dtype=np.uint8)[..., ::-1])


def _panel(rgb: RgbImage) -> tuple[RgbImage, float]:
    """An image at panel height, and the factor."""
    scale = _PANEL_HEIGHT / rgb.shape[0]
    size = (max(1, round(rgb.shape[1] * scale)), _PANEL_HEIGHT)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, size, interpolation=interpolation), dtype=np.uint8), scale


def _side_by_side(left: RgbImage, right: RgbImage) -> RgbImage:
    """Two panels with a white gap between."""
    gap = np.full((_PANEL_HEIGHT, _GAP_PX, 3), 255, np.uint8)
    return np.ascontiguousarray(np.concatenate([left, gap, right], axis=1))


def _draw_lines(
    canvas: RgbImage, starts_px: NDArray[np.floating], ends_px: NDArray[np.floating], color: tuple[int, int, int]
) -> None:
    """Draw (N, 2) to (N, 2) lines with small dots at their ends, in place."""
    for start, end in zip(np.rint(starts_px).astype(int), np.rint(ends_px).astype(int), strict=True):
        a, b = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
        cv2.line(canvas, a, b, color, 1, cv2.LINE_AA)
        cv2.circle(canvas, a, 2, color, -1, cv2.LINE_AA)
        cv2.circle(canvas, b, 2, color, -1, cv2.LINE_AA)
