# SPDX-License-Identifier: Apache-2.0
"""The settings that only the nodes have: topics, frames, rates. Those of the algorithms are `xover_core.config`."""

from __future__ import annotations

from dataclasses import dataclass

from xover_core.config import Settings, setting

# the groups and single keys of `XoverSettings` that each node declares besides its own
LOCALIZER_CORE_GROUPS = (
    "encoder",
    "scene_encoder",
    "mapping.max_depth",
    "retrieval",
    "scene_belief",
    "matching",
    "solver",
    "verification",
    "decision",
    "inference",
    "random_seed",
)
MAPPER_CORE_GROUPS = ("encoder", "scene_encoder", "mapping", "inference", "random_seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings(Settings):
    """What the localizer and the mapper share: where frames come from and how they are put together."""

    autostart: bool = setting(True, "configure and activate without a lifecycle manager")
    global_frame_id: str = setting("map", "frame of the map")
    base_frame_id: str = setting("base_link", "frame of the robot, whose pose is given")
    rgb_transport: str = setting(
        "raw", "raw: rgb/image, compressed: rgb/image/compressed", choices=("raw", "compressed")
    )
    depth_transport: str = setting(
        "raw", "raw: depth/image, compressedDepth: depth/image/compressedDepth", choices=("raw", "compressedDepth")
    )
    depth_scale: float = setting(1000.0, "units per metre of 16-bit depth images", minimum=0.001)
    image_reliability: str = setting(
        "best_effort", "quality of service of images, camera info and odometry", choices=("best_effort", "reliable")
    )
    approx_sync_s: float = setting(
        0.02, "largest difference of the stamps of a colour and a depth image, s", minimum=0.0, maximum=1.0
    )
    sync_queue_size: int = setting(10, "images of each stream that wait for their partner", minimum=1, maximum=1000)
    wait_for_transform: float = setting(0.5, "how long a frame waits for its transforms, s", minimum=0.0, maximum=10.0)
    max_rate_hz: float = setting(10.0, "frames processed per second at most, by their stamps; 0: no limit", minimum=0.0)
    input_timeout_s: float = setting(5.0, "an input that is silent for longer is reported, s", minimum=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizerNodeSettings(InputSettings):
    """The localizer node."""

    map_file: str = setting("", "map to localize in: a path or file:///absolute/path")
    odom_frame_id: str = setting("odom", "frame of the odometry; empty: the robot has none, each frame stands alone")
    odom_topic: str = setting("odom", "nav_msgs/Odometry; empty: odometry comes by TF only")
    publish_tf: bool = setting(True, "publish the transform global_frame_id -> odom_frame_id")
    transform_tolerance: float = setting(
        1.0, "how far the published transform is post-dated, s", minimum=0.0, maximum=60.0
    )
    tf_rate_hz: float = setting(20.0, "how often the transform is repeated, 1/s", minimum=0.1, maximum=1000.0)
    update_min_d: float = setting(0.25, "once localized, process a frame after moving this far, m", minimum=0.0)
    update_min_a: float = setting(0.2, "... or turning this far, rad", minimum=0.0, maximum=3.15)
    update_max_s: float = setting(2.0, "... or after this long without either, s; 0: never", minimum=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapperNodeSettings(InputSettings):
    """The mapper node."""

    map_file: str = setting("", "map file to write: a path or file:///absolute/path")
    append: bool = setting(False, "go on with an existing map file; otherwise an existing file is refused")
    pose_topic: str = setting(
        "pose_in", "geometry_msgs/PoseStamped of base_frame_id in global_frame_id; empty: that pose comes by TF"
    )
    finish_on_shutdown: bool = setting(True, "finish the map (landmarks, scenes, whitening) before the node ends")


@dataclass(frozen=True, slots=True, kw_only=True)
class BagPlayerSettings(Settings):
    """The bag player node."""

    bag: str = setting("", "rosbag2 to play: its folder, or a .db3 or .mcap file")
    mode: str = setting(
        "rate", "rate: by the clock; lock_step: as fast as the nodes process frames", choices=("rate", "lock_step")
    )
    rate: float = setting(1.0, "speed in mode rate, bag seconds per second", minimum=0.001, maximum=1000.0)
    start_offset_s: float = setting(0.0, "start this long after the first message, s", minimum=0.0)
    duration_s: float = setting(0.0, "play this much of the bag, s; 0: to the end", minimum=0.0)
    loop: bool = setting(False, "start again at the end; time jumps back then")
    start_paused: bool = setting(False, "wait for a call of ~/set_paused before the first message")
    topics: str = setting("", "topics to play, separated by commas; empty: all")
    drop_transforms: str = setting(
        "map->odom", "parent->child pairs left out of /tf, separated by commas; the localizer publishes this one itself"
    )
    step_topic: str = setting("", "lock step: topic of the images to wait for; empty: the first colour image topic")
    step_timeout_s: float = setting(5.0, "lock step: go on when a frame is not done after this long, s", minimum=0.01)
    wait_for_nodes_s: float = setting(
        20.0, "wait this long for subscribers, and in lock step for nodes that acknowledge frames, s", minimum=0.0
    )
    clock_rate_hz: float = setting(100.0, "mode rate: /clock messages per second", minimum=1.0, maximum=10000.0)
