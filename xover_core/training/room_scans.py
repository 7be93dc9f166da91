# SPDX-License-Identifier: Apache-2.0
"""Fills a folder with scans of procedural rooms in all modalities, each with a rescan after somebody moved things.

The pictures and the point cloud of a scan are taken from different places, as by a robot that maps and another one
that asks; the cloud has the noise, holes and blind spots of the cameras that took it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xover_core.config import Settings, setting
from xover_core.datasets.procedural.apartment import Apartment, make_apartment
from xover_core.datasets.procedural.bounds import object_boxes
from xover_core.datasets.procedural.floorplan import draw_floorplan
from xover_core.datasets.procedural.meshes import object_mesh
from xover_core.datasets.procedural.rearrangement import ObjectMove
from xover_core.datasets.procedural.renderer import RenderedView
from xover_core.datasets.procedural.room_facts import RoomFacts, read_room_facts
from xover_core.datasets.procedural.room_sentences import write_object_text, write_room_text
from xover_core.datasets.procedural.room_traits import thing_name, traits_of
from xover_core.datasets.procedural.scene import Room, SceneObject
from xover_core.datasets.procedural.sensor_noise import SensorNoise, sense_color, sense_depth
from xover_core.datasets.procedural.sentences import Sentence, SentenceKind, describe_room
from xover_core.datasets.scan_file import SCAN_SUFFIX, save_scan
from xover_core.datasets.scene_scan import ScanFloorplan, ScanObject, ScanView, SceneScan
from xover_core.errors import TrainingError
from xover_core.geometry.camera import resize_intrinsics
from xover_core.training.scan_cloud import ScanCloud, fuse_cloud
from xover_core.training.view_proposals import Proposal, ViewProposals
from xover_core.training.view_studio import MAX_TRIES, ViewStudio, draw_camera
from xover_core.training.worker_pool import Progress, count_jobs, run_jobs
from xover_core.types import CameraIntrinsics

RESCAN_SUFFIX = "-rescan"

_LOGGER = logging.getLogger(__name__)

_MIN_VIEWS = 3
# The rest of the views looks at things.
_RANDOM_SHARE = 0.5
# Objects of which less was scanned are not part of the scan.
_MIN_OBJECT_POINTS = 30
_CAD_POINTS = 512
_NUM_DESCRIPTIONS, _NUM_REFERRALS = 40, 3
_FLOORPLAN_PIXELS_PER_M = 40.0
# Walls have a thickness, and depth has noise, m.
_BOX_MARGIN = 0.2
# Things on furniture are often only turned, m.
_MIN_MOVE = 0.05
_NOISE = SensorNoise()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomScansSettings(Settings):
    """What is drawn, rendered and scanned."""

    num_apartments: int = setting(100, "apartments; each gives a scan and a rescan for each of its rooms", minimum=1)
    first_seed: int = setting(0, "seed of the first apartment; the others follow", minimum=0)
    num_views: int = setting(10, "pictures of a scan", minimum=_MIN_VIEWS)
    num_rescan_views: int = setting(4, "pictures of a rescan", minimum=_MIN_VIEWS)
    num_cloud_views: int = setting(16, "views from which a point cloud is made", minimum=_MIN_VIEWS)
    width: int = setting(320, "of images, px; a multiple of 8", minimum=16)
    height: int = setting(240, "of images, px; a multiple of 8", minimum=16)
    min_fov_deg: float = setting(55.0, "smallest horizontal field of view, deg", minimum=20.0, maximum=120.0)
    max_fov_deg: float = setting(80.0, "largest horizontal field of view, deg", minimum=20.0, maximum=120.0)
    max_rooms: int = setting(6, "rooms of an apartment without its corridor, at most", minimum=3, maximum=12)
    max_clutter: float = setting(2.0, "amount of small things at most, 1 = lived in", minimum=0.5, maximum=5.0)
    lookalike_probability: float = setting(
        0.2, "apartments of which two or three rooms have the same furniture and surfaces", minimum=0.0, maximum=1.0
    )
    moved_share: float = setting(0.5, "movable things that stand elsewhere in the rescan", minimum=0.0, maximum=1.0)
    num_workers: int = setting(2, "processes, with one thread each; 0 = render in this process", minimum=0)


def render_room_scans(
    directory: Path, settings: RoomScansSettings | None = None, progress: Progress | None = None
) -> list[Path]:
    """Fill a folder; it can be stopped at any time and goes on when called again.

    Args:
        directory: made when missing. Apartments that are marked as done, by an empty file, are kept as they are.
        settings: None = defaults.
        progress: called at the start and after each apartment.

    Returns:
        The files of all scans of these apartments.

    Raises:
        TrainingError: the folder cannot be written.
    """
    settings = settings or RoomScansSettings()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"scans in {directory}: the folder cannot be made, {error}.") from error
    seeds = range(settings.first_seed, settings.first_seed + settings.num_apartments)
    missing = [seed for seed in seeds if not _done_marker(directory, seed).exists()]
    job = functools.partial(_scan_apartment, directory=directory, settings=settings)
    jobs = run_jobs(job, missing, settings.num_workers)
    for seed, problem in count_jobs(jobs, len(seeds) - len(missing), len(seeds), progress):
        if problem:
            _LOGGER.warning("apartment %d: %s", seed, problem)
    return [path for seed in seeds for path in sorted(directory.glob(f"room-{seed:05d}-*{SCAN_SUFFIX}"))]


def apartment_of(seed: int, settings: RoomScansSettings) -> Apartment:
    """The apartment whose rooms are scanned under a seed."""
    rng = np.random.default_rng([seed, 41])
    num_rooms = int(rng.integers(3, settings.max_rooms + 1))
    num_lookalikes = int(rng.integers(2, 4)) if rng.random() < settings.lookalike_probability else 0
    clutter = float(rng.uniform(0.5, settings.max_clutter))
    return make_apartment(seed, num_rooms=num_rooms, clutter=clutter, num_lookalikes=num_lookalikes)


def scan_rooms(seed: int, settings: RoomScansSettings) -> list[SceneScan]:
    """Scans of all rooms of an apartment, and then their rescans; rooms too narrow for a camera are left out."""
    before = apartment_of(seed, settings)
    after, moves = before.rearranged(seed, settings.moved_share)
    moved = moved_objects(moves)
    first = _scan_all(_Scanner(before, np.random.default_rng([seed, 43, 0]), settings), settings.num_views)
    second = _scan_all(
        _Scanner(after.relit(seed + 1), np.random.default_rng([seed, 43, 1]), settings), settings.num_rescan_views
    )
    places = {scan.place_id for scan in first}
    rescans = [_as_rescan(scan, moved) for scan in second if scan.place_id in places]
    return [*first, *rescans]


def moved_objects(moves: Iterable[ObjectMove]) -> frozenset[int]:
    """Ids of the objects that stand elsewhere, and were not only turned."""
    shifts = {move.object_id: move.T_map_after[:3, 3] - move.T_map_before[:3, 3] for move in moves}
    return frozenset(object_id for object_id, shift in shifts.items() if np.linalg.norm(shift) > _MIN_MOVE)


def _scan_all(scanner: _Scanner, num_views: int) -> list[SceneScan]:
    scans = [scanner.scan(room, num_views) for room in scanner.apartment.rooms]
    return [scan for scan in scans if scan is not None]


def _as_rescan(scan: SceneScan, moved: frozenset[int]) -> SceneScan:
    """The scan under the name of a rescan, with what moved."""
    ids = frozenset(scanned.object_id for scanned in scan.objects)
    return replace(scan, scan_id=scan.scan_id + RESCAN_SUFFIX, moved_ids=moved & ids)


def _within(room: Room, proposals: Iterable[Proposal]) -> Iterator[Proposal]:
    """Those whose camera stands in the room, and not in its door or in the next room."""
    return (p for p in proposals if room.contains(float(p.T_map_camera[0, 3]), float(p.T_map_camera[1, 3])))


class _Scanner:
    """Scans the rooms of an apartment as it is."""

    def __init__(self, apartment: Apartment, rng: np.random.Generator, settings: RoomScansSettings) -> None:
        self.apartment = apartment
        self._rng = rng
        self._studio = ViewStudio((apartment,))
        self._camera = draw_camera(rng, settings.width, settings.height, settings.min_fov_deg, settings.max_fov_deg)
        self._num_cloud_views = settings.num_cloud_views

    def scan(self, room: Room, num_views: int) -> SceneScan | None:
        """One room; None when too few useful views are found in it."""
        fov_deg = float(np.rad2deg(2 * np.arctan2(self._camera.width / 2, self._camera.fx)))
        proposals = ViewProposals(self.apartment, [room], fov_deg, self._rng)
        small = resize_intrinsics(self._camera, self._camera.width // 2, self._camera.height // 2)
        views = self._take(room, proposals, self._camera, num_views)
        cloud_views = self._take(room, proposals, small, self._num_cloud_views)
        if min(len(views), len(cloud_views)) < _MIN_VIEWS:
            return None
        lower = np.array([*room.lower, 0.0]) - _BOX_MARGIN
        upper = np.array([*room.upper, room.height]) + _BOX_MARGIN
        cloud = fuse_cloud(cloud_views, lower, upper, self._rng)
        sentences = describe_room(self.apartment, room.room_id, int(self._rng.integers(2**31)))
        listed = [sentence.text for sentence in sentences if sentence.kind is SentenceKind.ROOM]
        facts = read_room_facts(self.apartment, room.room_id)
        plan = draw_floorplan(self.apartment, room_id=room.room_id, pixels_per_m=_FLOORPLAN_PIXELS_PER_M)
        name = f"room-{self.apartment.seed:05d}-{room.room_id:02d}"
        return SceneScan(
            scan_id=name,
            place_id=name,
            category=room.room_type.label,
            points=cloud.points,
            colors=cloud.colors,
            instance=cloud.instance,
            objects=self._objects(facts, cloud, sentences),
            views=views,
            floorplan=ScanFloorplan(image=plan.image, pixels_per_m=plan.pixels_per_m),
            sentences=(*listed, *(write_room_text(facts, self._rng).text for _ in range(_NUM_DESCRIPTIONS))),
            things=self._things(),
            traits=frozenset(traits_of(facts)),
        )

    def _take(self, room: Room, proposals: ViewProposals, camera: CameraIntrinsics, wanted: int) -> list[ScanView]:
        """Views from within the room, in any direction and of things, with the noise of a sensor."""
        num_random = round(_RANDOM_SHARE * wanted)
        anywhere = _within(room, proposals.anywhere(MAX_TRIES * num_random))
        taken = list(self._studio.take_useful(anywhere, camera, num_random))
        num_left = wanted - len(taken)
        of_things = _within(room, proposals.around_targets(MAX_TRIES * num_left))
        taken += self._studio.take_useful(of_things, camera, num_left)
        return [self._sense(proposal, view, camera) for proposal, view in taken]

    def _sense(self, proposal: Proposal, view: RenderedView, camera: CameraIntrinsics) -> ScanView:
        return ScanView(
            rgb=sense_color(view.rgb, _NOISE, self._rng),
            depth=sense_depth(view, _NOISE, self._rng),
            instance=view.instance,
            intrinsics=camera,
            T_scan_camera=proposal.T_map_camera,
        )

    def _things(self) -> dict[int, str]:
        """Of the whole apartment: views look through doors."""
        objects = self.apartment.objects
        return {o.object_id: thing_name(o.object_class, o.color_name or o.material_name) for o in objects}

    def _objects(self, facts: RoomFacts, cloud: ScanCloud, sentences: Sequence[Sentence]) -> tuple[ScanObject, ...]:
        """Furniture of the room of which enough was scanned."""
        ids, counts = np.unique(cloud.instance, return_counts=True)
        referrals: dict[int, list[str]] = {}
        for sentence in sentences:
            if sentence.kind is not SentenceKind.ROOM:
                referrals.setdefault(sentence.object_ids[0], []).append(sentence.text)
        seen = set(ids[counts >= _MIN_OBJECT_POINTS].tolist())
        return tuple(
            self._object(scene_object, facts, referrals.get(scene_object.object_id, ()))
            for scene_object in self.apartment.furniture
            if scene_object.room_id == facts.room.room_id and scene_object.object_id in seen
        )

    def _object(self, scene_object: SceneObject, facts: RoomFacts, sentences: Sequence[str]) -> ScanObject:
        """An object with its box, points on its mesh, and what is said of it."""
        boxes = object_boxes(scene_object)
        cad_points, _ = object_mesh(scene_object).sample(_CAD_POINTS, self._rng)
        free = [write_object_text(facts, scene_object.object_id, self._rng).text for _ in range(_NUM_REFERRALS)]
        return ScanObject(
            object_id=scene_object.object_id,
            label=scene_object.object_class.label,
            center=(boxes.lower_map + boxes.upper_map) / 2,
            size=boxes.upper_map - boxes.lower_map,
            cad_points=cad_points,
            sentences=(*sentences, *free),
        )


def _scan_apartment(seed: int, directory: Path, settings: RoomScansSettings) -> str:
    """Scan one apartment into files; return what went wrong, empty when nothing did."""
    scans = scan_rooms(seed, settings)
    if not scans:
        return "no room has space for a camera"
    for scan in scans:
        save_scan(scan, directory / f"{scan.scan_id}{SCAN_SUFFIX}")
    _done_marker(directory, seed).touch()
    return ""


def _done_marker(directory: Path, seed: int) -> Path:
    """The file that is made after the last scan of an apartment."""
    return directory / f"room-{seed:05d}.done"
