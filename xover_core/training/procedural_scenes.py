# SPDX-License-Identifier: Apache-2.0
"""Fills a folder with training scenes: frames of procedural apartments in which each place is seen from many sides."""

from __future__ import annotations

import logging
import math
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from xover_core.config import Settings, setting
from xover_core.datasets.procedural.apartment import Apartment, make_apartment
from xover_core.datasets.procedural.renderer import RenderedView, Renderer
from xover_core.datasets.procedural.scene import Room
from xover_core.datasets.procedural.sensor_noise import SensorNoise, sense_depth
from xover_core.errors import TrainingError
from xover_core.geometry.camera import resize_intrinsics
from xover_core.training.scene_folder import SCENE_SUFFIX
from xover_core.training.scene_frames import SceneFrames, make_scene_frames
from xover_core.training.view_proposals import Proposal, ViewProposals
from xover_core.types import CameraIntrinsics

Progress = Callable[[int, int], None]
"""Called with (scenes done, all scenes)."""

_LOG = logging.getLogger(__name__)

# Views are judged on a small rendering first.
_SKETCH_WIDTH = 64
_NEAR = 0.3
_MIN_TARGET_SHARE = 0.003
# Views that are looked at for each one that is kept, before a scene stays smaller than wanted.
_MAX_TRIES = 12
_MIN_FRAMES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProceduralScenesSettings(Settings):
    """What is drawn and rendered."""

    num_scenes: int = setting(200, "apartments", minimum=1)
    first_seed: int = setting(0, "seed of the first apartment; the others follow", minimum=0)
    num_frames: int = setting(40, "frames of a scene", minimum=_MIN_FRAMES)
    width: int = setting(320, "of images, px; a multiple of 8", minimum=16)
    height: int = setting(240, "of images, px; a multiple of 8", minimum=16)
    min_fov_deg: float = setting(50.0, "smallest horizontal field of view, deg", minimum=20.0, maximum=120.0)
    max_fov_deg: float = setting(85.0, "largest horizontal field of view, deg", minimum=20.0, maximum=120.0)
    two_room_probability: float = setting(
        0.35, "scenes that look at two rooms of the apartment instead of one", minimum=0.0, maximum=1.0
    )
    walk_share: float = setting(0.3, "frames from a robot's walk, share", minimum=0.0, maximum=1.0)
    random_share: float = setting(0.1, "frames in any direction, share; the rest looks at things", minimum=0, maximum=1)
    relit_probability: float = setting(
        0.35, "scenes of which half of the frames are taken at another time of day", minimum=0.0, maximum=1.0
    )
    max_rooms: int = setting(5, "rooms of an apartment without its corridor, at most", minimum=1, maximum=12)
    max_clutter: float = setting(2.0, "amount of small things at most, 1 = lived in", minimum=0.5, maximum=5.0)
    max_near_share: float = setting(0.4, "no views of which more is nearer than 0.3 m", minimum=0.0, maximum=1.0)
    max_plain_share: float = setting(0.85, "no views that one object fills to more", minimum=0, maximum=1)
    min_depth_share: float = setting(
        0.6, "no views of which less has depth: most of the others looks out of a window", minimum=0.0, maximum=1.0
    )
    sensor_depth: bool = setting(False, "depth with the noise and holes of a sensor instead of the truth")
    num_workers: int = setting(2, "processes, with one thread each; 0 = render in this process", minimum=0)


def render_scenes(
    directory: Path, settings: ProceduralScenesSettings | None = None, progress: Progress | None = None
) -> list[Path]:
    """Fill a folder with `apartment-<seed>.safetensors`; it can be stopped at any time and goes on when called again.

    Args:
        directory: made when missing. Scenes that are there are kept, whatever settings they were made with.
        settings: None = defaults.
        progress: called at the start and after each scene.

    Returns:
        The files of all scenes, without those apartments in which no two views were found (they are logged).

    Raises:
        TrainingError: the folder cannot be written.
    """
    settings = settings or ProceduralScenesSettings()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"scenes in {directory}: the folder cannot be made, {error}.") from error
    seeds = range(settings.first_seed, settings.first_seed + settings.num_scenes)
    paths = {seed: directory / f"apartment-{seed:05d}{SCENE_SUFFIX}" for seed in seeds}
    missing = [seed for seed in seeds if not paths[seed].exists()]
    done = len(seeds) - len(missing)
    if progress:
        progress(done, len(seeds))
    for seed, problem in _rendered(missing, paths, settings):
        if problem:
            _LOG.warning("apartment %d is left out: %s", seed, problem)
        done += 1
        if progress:
            progress(done, len(seeds))
    return [path for path in paths.values() if path.exists()]


def render_scene(seed: int, settings: ProceduralScenesSettings) -> SceneFrames:
    """Draw an apartment and render its frames; the same arguments give the same scene.

    Raises:
        TrainingError: no two useful views were found, or the image size is no multiple of 8.
    """
    rng = np.random.default_rng([seed, 31])
    apartment = make_apartment(
        seed,
        num_rooms=int(rng.integers(1, settings.max_rooms + 1)),
        clutter=float(rng.uniform(0.5, settings.max_clutter)),
    )
    camera = _draw_camera(rng, settings)
    fov_deg = math.degrees(2 * math.atan(camera.width / (2 * camera.fx)))
    proposals = ViewProposals(apartment, _draw_rooms(rng, apartment, settings), fov_deg, rng)
    studio = _Studio(_lightings(rng, apartment, settings), camera, settings)
    views = _take_views(proposals, studio, settings)
    if len(views) < _MIN_FRAMES:
        raise TrainingError(
            f"apartment {seed}: expected at least {_MIN_FRAMES} useful views, got {len(views)};"
            " allow nearer or plainer views, or leave it out."
        )
    noise = SensorNoise()
    depths = [sense_depth(view, noise, rng) if settings.sensor_depth else view.depth for _, view in views]
    return make_scene_frames(
        f"apartment-{seed:05d}",
        np.stack([view.rgb for _, view in views]),
        np.stack(depths),
        [camera] * len(views),
        np.stack([proposal.T_map_camera for proposal, _ in views]),
    )


class _Studio:
    """Judges and renders views of one apartment, each in one of its lightings."""

    def __init__(
        self, apartments: Sequence[Apartment], camera: CameraIntrinsics, settings: ProceduralScenesSettings
    ) -> None:
        self._renderers = [Renderer(apartment) for apartment in apartments]
        self._camera = camera
        sketch_height = max(round(_SKETCH_WIDTH * camera.height / camera.width), 1)
        self._sketch_camera = resize_intrinsics(camera, _SKETCH_WIDTH, sketch_height)
        self._settings = settings
        self._num_taken = 0

    def take(self, proposal: Proposal) -> RenderedView | None:
        """The view, or None when it is of no use."""
        sketch = self._renderers[0].render(proposal.T_map_camera, self._sketch_camera)
        if not self._is_useful(sketch, proposal.target_id):
            return None
        renderer = self._renderers[self._num_taken % len(self._renderers)]
        self._num_taken += 1
        return renderer.render(proposal.T_map_camera, self._camera)

    def _is_useful(self, view: RenderedView, target_id: int) -> bool:
        """Whether a view shows enough, and its target."""
        size = view.depth.size
        near = np.count_nonzero((view.depth > 0) & (view.depth < _NEAR)) / size
        _, counts = np.unique(view.instance, return_counts=True)
        is_target_seen = target_id == 0 or np.count_nonzero(view.instance == target_id) >= _MIN_TARGET_SHARE * size
        is_plain = counts.max() / size > self._settings.max_plain_share
        has_depth = np.count_nonzero(view.depth) / size >= self._settings.min_depth_share
        return bool(near <= self._settings.max_near_share and has_depth and not is_plain and is_target_seen)


def _take_views(
    proposals: ViewProposals, studio: _Studio, settings: ProceduralScenesSettings
) -> list[tuple[Proposal, RenderedView]]:
    """The views of a scene: a walk, some in any direction, and the rest of things."""
    num_walk = round(settings.walk_share * settings.num_frames)
    num_random = min(round(settings.random_share * settings.num_frames), settings.num_frames - num_walk)
    views = list(_useful(proposals.walk(num_walk), studio, num_walk))
    views += _useful(proposals.anywhere(_MAX_TRIES * num_random), studio, num_random)
    num_left = settings.num_frames - len(views)
    views += _useful(proposals.around_targets(_MAX_TRIES * num_left), studio, num_left)
    return views


def _useful(proposals: Iterable[Proposal], studio: _Studio, wanted: int) -> Iterator[tuple[Proposal, RenderedView]]:
    """The first useful views; fewer than wanted when there are not so many."""
    tried = ((proposal, studio.take(proposal)) for proposal in proposals)
    return islice(((proposal, view) for proposal, view in tried if view is not None), wanted)


def _draw_camera(rng: np.random.Generator, settings: ProceduralScenesSettings) -> CameraIntrinsics:
    """A camera with square pixels and its axis in the middle."""
    low, high = sorted((settings.min_fov_deg, settings.max_fov_deg))
    focal = settings.width / 2 / math.tan(math.radians(rng.uniform(low, high)) / 2)
    return CameraIntrinsics(
        fx=focal,
        fy=focal,
        cx=(settings.width - 1) / 2,
        cy=(settings.height - 1) / 2,
        width=settings.width,
        height=settings.height,
    )


def _draw_rooms(rng: np.random.Generator, apartment: Apartment, settings: ProceduralScenesSettings) -> list[Room]:
    """One room of an apartment or two, large ones rather than small ones: in more, too few frames would overlap."""
    areas = np.array([room.area for room in apartment.rooms])
    count = 2 if len(areas) > 1 and rng.random() < settings.two_room_probability else 1
    chosen = rng.choice(len(areas), count, replace=False, p=areas / areas.sum())
    return [apartment.rooms[int(index)] for index in chosen]


def _lightings(
    rng: np.random.Generator, apartment: Apartment, settings: ProceduralScenesSettings
) -> tuple[Apartment, ...]:
    """The apartment once, or at two times of day."""
    if rng.random() >= settings.relit_probability:
        return (apartment,)
    return apartment, apartment.relit(int(rng.integers(2**31)))


def _rendered(
    seeds: Sequence[int], paths: dict[int, Path], settings: ProceduralScenesSettings
) -> Iterator[tuple[int, str]]:
    """Render and save scenes; yield each seed with what went wrong, empty when nothing did."""
    if settings.num_workers == 0:
        yield from ((seed, _render_file(seed, paths[seed], settings)) for seed in seeds)
        return
    if not seeds:
        return
    # fresh processes: forking one that has run torch's threads can hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.num_workers, mp_context=context, initializer=_use_one_thread) as pool:
        jobs = {pool.submit(_render_file, seed, paths[seed], settings): seed for seed in seeds}
        try:
            yield from ((jobs[job], job.result()) for job in as_completed(jobs))
        finally:
            pool.shutdown(cancel_futures=True)


def _use_one_thread() -> None:
    """Threads of processes that share the cores wait for each other."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _render_file(seed: int, path: Path, settings: ProceduralScenesSettings) -> str:
    """Render one scene into a file; return what went wrong with the scene, empty when nothing did."""
    try:
        scene = render_scene(seed, settings)
    except TrainingError as error:
        return str(error)
    scene.save(path)
    return ""
