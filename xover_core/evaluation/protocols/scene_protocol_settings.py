# SPDX-License-Identifier: Apache-2.0
"""What the protocols of CrossOver and SceneGraphLoc draw and count; the command line makes its options of these."""

from __future__ import annotations

from dataclasses import dataclass

from xover_core.config import Settings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneProtocolSettings(Settings):
    """What is read of each scan."""

    num_scenes: int = setting(0, "places that are used, the first ones; 0 = all", minimum=0)
    views: int = setting(10, "views that an embedding of images is made of", minimum=1)
    max_views: int = setting(20, "views of a scan that are described, far from each other", minimum=1)
    sentences: int = setting(10, "random referrals that are the text of a scene", minimum=1)
    no_poses: bool = setting(False, "views are pooled without the poses of their cameras")
    no_depth: bool = setting(False, "views are described by colour alone")
    no_classical: bool = setting(False, "leave out the classical descriptors, which take time")
    seed: int = setting(42, "of every random draw", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRetrievalSettings(SceneProtocolSettings):
    """Scene retrieval (CrossOver, Tables 2 to 4)."""

    all_scans: bool = setting(False, "rescans are queries and candidates too, as in CrossOver's released code")
    released_temporal: bool = setting(False, "count the temporal recall as CrossOver's released code does")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRetrievalSettings(SceneProtocolSettings):
    """Instance matching (CrossOver, Table 1)."""

    rio_categories: bool = setting(
        False, "match only chairs, tables, benches, sofas, pillows, beds and trash between scans, as released"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneGraphLocSettings(SceneProtocolSettings):
    """A place from one image (SceneGraphLoc; CrossOver, Table E.1)."""

    candidates: tuple[float, ...] = setting(
        (10.0, 50.0), "scans that an image is compared with, the right one included"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichPlaceSettings(Settings):
    """Which of a few recorded places a frame shows, and how sure frames in a row make it."""

    views: int = setting(10, "frames of the map recording that a scene is described by, far from each other", minimum=1)
    scene_radius: float = setting(
        4.0, "a place is split into scenes of cameras within this distance of one of them, m", minimum=0.1
    )
    window: int = setting(5, "frames of the short belief", minimum=2)
    temperature: float = setting(0.1, "similarity that changes the odds of a place by a factor e", minimum=0.001)
    leak: float = setting(
        0.05, "share of the belief that each frame spreads over all places", minimum=0.001, maximum=1.0
    )
    no_classical: bool = setting(False, "leave out the classical descriptors")
    seed: int = setting(42, "of every random draw", minimum=0)
