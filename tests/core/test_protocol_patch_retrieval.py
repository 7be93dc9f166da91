# SPDX-License-Identifier: Apache-2.0
"""Patch retrieval features that must win and lose, determinism, what table and JSON hold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.encoders.whitening import Whitening
from xover_core.errors import ConfigError
from xover_core.evaluation.protocols.patch_retrieval import CHANCE, measure_patch_retrieval
from xover_core.evaluation.protocols.patch_sources import PatchFeature, RawPatches, protocol_grid, unit_rows
from xover_core.evaluation.protocols.protocol_report import format_report, report_as_json
from xover_core.evaluation.protocols.protocol_settings import PatchRetrievalSettings
from xover_core.geometry.transforms import make_pose, transform_points
from xover_core.types import CameraIntrinsics, RgbdFrame

CAMERA = CameraIntrinsics(fx=80.0, fy=80.0, cx=79.5, cy=59.5, width=160, height=120)
SETTINGS = PatchRetrievalSettings(num_batches=2, batch_size=4, num_queries=20)


class PlaneSequence:
    """A camera that slides along the plane z = 2, whose colour tells where on it a pixel is."""

    name = "plane"

    def __len__(self):
        return 6

    def __iter__(self):
        v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
        for i in range(len(self)):
            x = (u - CAMERA.cx) / CAMERA.fx * 2.0 + 0.2 * i
            y = (v - CAMERA.cy) / CAMERA.fy * 2.0
            rgb = np.stack([(x + 3) * 30, (y + 3) * 30, np.full_like(x, 90)], axis=2).astype(np.uint8)
            depth = np.full(rgb.shape[:2], 2.0, np.float32)
            frame = RgbdFrame(stamp_ns=i, rgb=rgb, depth=depth, intrinsics=CAMERA)
            yield SequenceItem(frame=frame, T_world_camera=make_pose(np.eye(3), (0.2 * i, 0, 0)), name=str(i))


class PlaceSource:
    """Reads the place on the plane off the colours: nearer patches are always more similar."""

    def describe(self, frame):
        grid = protocol_grid(frame.rgb)
        pixels = cv2.remap(frame.rgb, *(grid.keypoints_px[:, i : i + 1] for i in (0, 1)), cv2.INTER_LINEAR)[:, 0]
        x, y = (pixels[:, i].astype(np.float32) / 30 - 3 for i in (0, 1))
        # a cap of a large sphere, where the cosine falls with distance in the plane
        return unit_rows(np.stack([x, y, np.full_like(x, 20.0)], axis=1))


class RandomSource:
    def __init__(self):
        self._rng = np.random.default_rng(0)

    def describe(self, frame):
        return unit_rows(self._rng.standard_normal((len(protocol_grid(frame.rgb).centers_px), 8)))


def measure(*sources, settings=SETTINGS):
    features = [PatchFeature(name=type(source).__name__, source=source) for source in sources]
    return measure_patch_retrieval(PlaneSequence(), features, settings)


def test_knowing_the_place_wins_and_noise_is_chance():
    rows = measure(PlaceSource(), RandomSource()).report.rows
    for universe in (1.0, 10.0):
        chance, place, noise = [row for row in rows if row.universe_m == universe]
        assert chance.feature == CHANCE
        # colours of 8 bit put the place 3 cm off, so that only patches at the rim of rho are confused
        assert min(place.map, place.vap, place.other_frames_map, place.other_frames_vap) > 0.9
        assert place.vap > 4 * chance.vap
        assert noise.vap == pytest.approx(chance.vap, rel=0.2)
        assert noise.other_frames_vap == pytest.approx(chance.other_frames_vap, rel=0.2)
        assert (place.dim, noise.dim, chance.dim) == (3, 8, None)


def test_a_larger_universe_is_never_easier():
    rows = measure(RawPatches()).report.rows
    small, large = (next(r for r in rows if r.feature == "RawPatches" and r.universe_m == u) for u in (1.0, 10.0))
    assert small.map >= large.map
    assert small.other_frames_vap >= large.other_frames_vap


def test_equal_seeds_give_equal_tables_and_others_do_not():
    other_seed = PatchRetrievalSettings(num_batches=2, batch_size=4, num_queries=20, seed=1)
    tables = []
    for settings in (SETTINGS, SETTINGS, other_seed):
        rows = measure(RawPatches(), settings=settings).report.rows
        tables.append([(r.feature, r.map, r.vap, r.other_frames_map, r.other_frames_vap) for r in rows])
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


def test_queries_do_not_depend_on_the_features():
    alone, together = measure(PlaceSource()), measure(RawPatches(), PlaceSource())
    assert [r.vap for r in alone.report.rows if r.feature == "PlaceSource"] == [
        r.vap for r in together.report.rows if r.feature == "PlaceSource"
    ]


def test_a_whitening_shares_its_source():
    class CountingSource(PlaceSource):
        calls = 0

        def describe(self, frame):
            self.calls += 1
            return super().describe(frame)

    source = CountingSource()
    identity = Whitening(mean=np.zeros(3, np.float32), basis=np.eye(3, dtype=np.float32))
    plain, whitened = PatchFeature(name="a", source=source), PatchFeature(name="b", source=source, whitening=identity)
    rows = measure_patch_retrieval(PlaneSequence(), [plain, whitened], SETTINGS).report.rows
    assert source.calls == SETTINGS.num_batches * SETTINGS.batch_size
    values = {(r.feature, r.universe_m): r.map for r in rows}
    assert values["a", 1.0] == pytest.approx(values["b", 1.0], abs=1e-3)


@pytest.mark.parametrize("universes", [(), (0.1,), (10.0, 1.0)])
def test_universes_must_be_nested_around_rho(universes):
    with pytest.raises(ConfigError, match="universes"):
        PatchRetrievalSettings(universes=universes)


def test_table_and_json_agree():
    report = measure(PlaceSource()).report
    lines = format_report(report).splitlines()
    assert len({len(line) for line in lines[2:6]}) == 1  # aligned, numbers to the right
    data = report_as_json(report)
    assert [row["feature"] for row in data["rows"]] == [line.split()[0] for line in lines[2:6]]
    assert data["settings"]["rho"] == 0.2
    assert {"feature", "universe_m", "map", "vap", "other_frames_map", "other_frames_vap"} <= data["rows"][0].keys()


def test_batches_lie_where_the_camera_was():
    example = measure(PlaceSource()).example
    for index, posed in enumerate(example.batch.frames):
        mine = example.batch.points_world[example.batch.frame_of == index]
        centre = transform_points(posed.T_world_camera, np.array([[0.0, 0.0, 2.0]]))[0]
        np.testing.assert_allclose(mine.mean(axis=0), centre, atol=0.01)  # patches are even around the axis to 1 cm
