# SPDX-License-Identifier: Apache-2.0
"""Fills a folder with training scenes: frames of procedural apartments in which each place is seen from many sides."""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xover_core.config import Settings, setting
from xover_core.datasets.procedural.apartment import Apartment, make_apartment
from xover_core.datasets.procedural.renderer import RenderedView
from xover_core.datasets.procedural.scene import Room
from xover_core.datasets.procedural.sensor_noise import SensorNoise, sense_depth
from xover_core.errors import TrainingError
from xover_core.training.scene_folder import SCENE_SUFFIX
from xover_core.training.scene_frames import SceneFrames, make_scene_frames
from xover_core.training.view_proposals import Proposal, ViewProposals
from xover_core.training.view_studio import MAX_TRIES, ViewLimits, ViewStudio, draw_camera
from xover_core.training.worker_pool import Progress, count_jobs, run_jobs
from xover_core.types import CameraIntrinsics

_LOGGER = logging.getLogger(__name__)

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
    paths = {seed: _path_of(seed, directory) for seed in seeds}
    missing = [seed for seed in seeds if not paths[seed].exists()]
    render = functools.partial(_render_file, directory=directory, settings=settings)
    jobs = run_jobs(render, missing, settings.num_workers)
    for seed, problem in count_jobs(jobs, len(seeds) - len(missing), len(seeds), progress):
        if problem:
            _LOGGER.warning("apartment %d is left out: %s", seed, problem)
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
    camera = draw_camera(rng, settings.width, settings.height, settings.min_fov_deg, settings.max_fov_deg)
    fov_deg = math.degrees(2 * math.atan(camera.width / (2 * camera.fx)))
    proposals = ViewProposals(apartment, _draw_rooms(rng, apartment, settings), fov_deg, rng)
    limits = ViewLimits(
        max_near_share=settings.max_near_share,
        max_plain_share=settings.max_plain_share,
        min_depth_share=settings.min_depth_share,
    )
    studio = ViewStudio(_lightings(rng, apartment, settings), limits)
    views = _take_views(proposals, studio, camera, settings)
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


def _take_views(
    proposals: ViewProposals, studio: ViewStudio, camera: CameraIntrinsics, settings: ProceduralScenesSettings
) -> list[tuple[Proposal, RenderedView]]:
    """The views of a scene: a walk, some in any direction, and the rest of things."""
    num_walk = round(settings.walk_share * settings.num_frames)
    num_random = min(round(settings.random_share * settings.num_frames), settings.num_frames - num_walk)
    views = list(studio.take_useful(proposals.walk(num_walk), camera, num_walk))
    views += studio.take_useful(proposals.anywhere(MAX_TRIES * num_random), camera, num_random)
    num_left = settings.num_frames - len(views)
    views += studio.take_useful(proposals.around_targets(MAX_TRIES * num_left), camera, num_left)
    return views


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


def _path_of(seed: int, directory: Path) -> Path:
    return directory / f"apartment-{seed:05d}{SCENE_SUFFIX}"


def _render_file(seed: int, directory: Path, settings: ProceduralScenesSettings) -> str:
    """Render one scene into a file; return what went wrong with the scene, empty when nothing did."""
    try:
        scene = render_scene(seed, settings)
    except TrainingError as error:
        return str(error)
    scene.save(_path_of(seed, directory))
    return ""
