# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the GPU, tried on the processor with a tiny transformer, so that it runs where there is one."""

from __future__ import annotations

import argparse

import bench_gpu
import pytest
import torch
from box_room import look_at, room_frame
from gpu_stages import device_times
from measurement import Measurement, NotMeasured
from published_vit import TINY_DINO
from section import Effort

from xover_core.config import RetrievalSettings
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.inference.model_store import MODELS_DIR_VARIABLE
from xover_core.networks import vit_backbone
from xover_core.types import CameraIntrinsics

pytest.importorskip("transformers")
CAMERA = CameraIntrinsics(fx=110.0, fy=110.0, cx=71.5, cy=47.5, width=144, height=96)


def arguments(device: str) -> argparse.Namespace:
    return argparse.Namespace(device=device, backbone="tiny", image_height=64, export=False, effort=Effort.QUICK)


def recordings(directory: object, max_queries: int) -> tuple[list[SequenceItem], list[SequenceItem]]:
    poses = [look_at((0.2 * i - 0.5, 0.1 * i, 0.0), 30.0 * i) for i in range(4)]
    items = [
        SequenceItem(frame=room_frame(pose, CAMERA, stamp_ns=i), T_world_camera=pose, name=str(i))
        for i, pose in enumerate(poses)
    ]
    return items, items[:max_queries]


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv(MODELS_DIR_VARIABLE, "")
    monkeypatch.setitem(vit_backbone.VIT_SHAPES, "tiny", TINY_DINO)
    monkeypatch.setattr(bench_gpu, "load_recordings", recordings)
    monkeypatch.setattr(bench_gpu, "WAYS", ("torch fp32", "torch fp16", "torch-cuda-graphs fp16", "onnxruntime fp32"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_one_line_says_so() -> None:
    assert list(bench_gpu.measure(arguments("cuda:0"))) == [
        NotMeasured(area="GPU", name="all of it", reason="no CUDA device")
    ]


@pytest.mark.usefixtures("_tiny")
def test_everything_is_measured_beside_its_baseline() -> None:
    rows = list(bench_gpu.measure(arguments("cpu")))
    gaps = {row.name: row.reason for row in rows if isinstance(row, NotMeasured)}
    assert gaps.keys() == {"torch-cuda-graphs fp16", "onnxruntime fp32"}
    assert "needs a GPU" in gaps["torch-cuda-graphs fp16"]
    found = [row for row in rows if isinstance(row, Measurement)]
    names = {(row.area, row.name) for row in found}
    assert ("GPU, encoding", "tiny, torch fp16, p95") in names
    assert {name for area, name in names if area == "GPU, stages"} == {
        "picture to the device",
        "network, torch fp16",
        "match 10 keyframes of 80 patches",
        f"match {RetrievalSettings().max_landmarks} landmarks",
    }
    steps = {row.name for row in found if row.area == "GPU, localizer step"}
    assert {"tiny, whole step, p50", "tiny, encode, p50", "tiny, match, p95", "tiny, verify, p95"} <= steps
    assert {row.note for row in found if row.area == "GPU, localizer step"} == {"torch fp16"}
    assert all(row.value > 0 and row.baseline_value > 0 for row in found)


def test_frames_are_cut_to_five_by_four() -> None:
    frame = room_frame(look_at((0.0, 0.0, 0.0), 0.0), CAMERA)
    middle = bench_gpu.cut(frame)
    assert (middle.intrinsics.width, middle.intrinsics.height) == (120, 96)
    assert middle.intrinsics.cx == CAMERA.cx - 12
    assert (middle.rgb == frame.rgb[:, 12:132]).all()
    assert (middle.depth == frame.depth[:, 12:132]).all()
    assert bench_gpu.cut(middle).rgb.shape == middle.rgb.shape


def test_each_round_is_timed() -> None:
    calls = []
    times = device_times(lambda: calls.append(1), "cpu", rounds=4)
    assert len(times.wall_ms) == len(times.processor_ms) == 4
    assert len(calls) > 4
