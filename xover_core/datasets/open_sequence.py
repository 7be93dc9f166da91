# SPDX-License-Identifier: Apache-2.0
"""Opening a recording whatever its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xover_core.datasets.bag_access import is_bag
from xover_core.datasets.bag_reader import BagSequence
from xover_core.datasets.bag_topics import BagTopics
from xover_core.datasets.folder_sequence import is_folder_layout, open_folder_sequence
from xover_core.datasets.matterport_sequence import is_matterport_layout, open_matterport_sequence
from xover_core.datasets.rgbd_sequence import RgbdSequence
from xover_core.datasets.scannet_sens import is_sens_layout, open_sens_sequence
from xover_core.datasets.scannet_sequence import is_scannet_layout, open_scannet_sequence
from xover_core.datasets.seven_scenes_sequence import is_seven_scenes_layout, open_seven_scenes_sequence
from xover_core.datasets.tum_sequence import is_tum_layout, open_tum_sequence
from xover_core.errors import DatasetError

_LAYOUTS: tuple[tuple[str, Callable[[Path], bool], Callable[[Path], RgbdSequence]], ...] = (
    ("rgb/ depth/ poses.txt intrinsics.txt", is_folder_layout, open_folder_sequence),
    ("TUM's rgb.txt and depth.txt", is_tum_layout, open_tum_sequence),
    (
        "a 7-Scenes sequence (frame-000000.color.png) or TrainSplit.txt",
        is_seven_scenes_layout,
        open_seven_scenes_sequence,
    ),
    ("Matterport3D's undistorted_camera_parameters/", is_matterport_layout, open_matterport_sequence),
    ("ScanNet's color/ depth/ pose/ intrinsic/", is_scannet_layout, open_scannet_sequence),
    ("ScanNet's .sens file", is_sens_layout, open_sens_sequence),
)


def open_sequence(path: Path, topics: BagTopics | None = None) -> RgbdSequence:
    """Open a recording, recognising its layout.

    Args:
        path: a folder or a bag.
        topics: which topics of a bag to read; found by type and name when not given.

    Raises:
        DatasetError: nothing there, no known layout, or a broken recording.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no recording there; check the path.")
    if is_bag(path):
        return BagSequence(path, topics)
    for _, is_layout, open_layout in _LAYOUTS:
        if is_layout(path):
            return open_layout(path)
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) if path.is_dir() else "a file"
    looked_for = "; ".join(["rosbag2 (metadata.yaml, .db3, .mcap)", *(description for description, _, _ in _LAYOUTS)])
    raise DatasetError(
        f"{path}: not a recording that xover knows; looked for {looked_for}; found {found or 'nothing'}."
    )
