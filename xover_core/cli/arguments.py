# SPDX-License-Identifier: Apache-2.0
"""Command-line arguments that several verbs share: settings, and which topics of a bag to read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml

from xover_core.config import Settings, XoverSettings
from xover_core.config_io import load_preset, load_settings_over, override, preset_names
from xover_core.datasets.bag_topics import BagTopics
from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.errors import ConfigError

# argparse has no public name for what add_subparsers returns
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
MAP_SUFFIX = ".xover"
SettingsT = TypeVar("SettingsT", bound=Settings)

_TOPIC_ARGUMENTS = (
    ("color", "--color-topic", "sensor_msgs/Image or CompressedImage"),
    ("depth", "--depth-topic", "the same, registered to colour"),
    ("camera_info", "--camera-info-topic", "sensor_msgs/CameraInfo of the colour image"),
    ("odometry", "--odometry-topic", "nav_msgs/Odometry, `tf` or `none`"),
    ("pose", "--pose-topic", "true pose: geometry_msgs/PoseStamped or nav_msgs/Odometry, `tf` or `none`"),
    ("world_frame", "--world-frame", "fixed frame of true poses from TF (default: map)"),
    ("odom_frame", "--odom-frame", "fixed frame of odometry from TF (default: odom)"),
    ("base_frame", "--base-frame", "body whose pose PoseStamped messages give (default: base_link)"),
)


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --preset, --settings and --set; `settings_from` reads them."""
    group = parser.add_argument_group("settings", "later ones win; `xover config` shows all with their meaning")
    group.add_argument("--preset", metavar="NAME", help=f"one of: {', '.join(preset_names())}")
    _add_file_and_values(group)


def settings_from(args: argparse.Namespace) -> XoverSettings:
    """Resolve default < preset < file < single values.

    Raises:
        ConfigError: a preset, file, key or value that is not accepted.
    """
    return settings_over(args, load_preset(args.preset) if args.preset else XoverSettings())


def add_own_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --settings and --set of a verb that has its own tree of settings; `settings_over` reads them."""
    _add_file_and_values(
        parser.add_argument_group("settings", "later ones win; --show-settings shows all with their meaning")
    )


def settings_over(args: argparse.Namespace, defaults: SettingsT) -> SettingsT:
    """Resolve `defaults` < file < single values.

    Raises:
        ConfigError: a file, key or value that is not accepted.
    """
    settings = load_settings_over(args.settings, defaults) if args.settings else defaults
    return override(settings, dict(key_and_value(text) for text in args.set))


def _add_file_and_values(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--settings", metavar="FILE", type=Path, help="YAML file")
    group.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="may be repeated")


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name topics and frames of a bag; `open_recording` reads them."""
    group = parser.add_argument_group("topics of a rosbag2", "found by type and name when not given")
    for name, flag, text in _TOPIC_ARGUMENTS:
        group.add_argument(flag, dest=f"topic_{name}", metavar="NAME", help=text)


def open_recording(path: Path, args: argparse.Namespace) -> RgbdSequence:
    """Open a folder or bag with the topics that were given.

    Raises:
        DatasetError: nothing there, no known layout, or a broken recording.
    """
    from xover_core.datasets.open_sequence import open_sequence

    given = {name: getattr(args, f"topic_{name}") for name, _, _ in _TOPIC_ARGUMENTS}
    return open_sequence(path, BagTopics(**{name: value for name, value in given.items() if value is not None}))


def open_map_or_recording(path: Path, args: argparse.Namespace) -> RgbdSequence:
    """As `open_recording`; the keyframes of a map (*.xover) are a recording too.

    Raises:
        DatasetError: nothing there, no known layout, or a broken recording.
        MapFormatError: a map that cannot be read.
    """
    if path.suffix != MAP_SUFFIX:
        return open_recording(path, args)
    from xover_core.landmark_map.map_storage import MapStorage
    from xover_core.training.adaptation_frames import MapRecording

    with MapStorage.open(path, read_only=True) as storage:
        return MapRecording(path.stem, storage.load().keyframes)


def key_and_value(text: str) -> tuple[str, Any]:
    """`a.b=1` -> ("a.b", 1); the value is read as YAML, nothing is the empty text.

    Raises:
        ConfigError: no `=`, or no YAML after it.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: expected KEY=VALUE, for example --set matching.max_matches=200.")
    try:
        return key.strip(), yaml.safe_load(value) if value.strip() else ""
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value cannot be read as YAML; put it in quotes?") from error
