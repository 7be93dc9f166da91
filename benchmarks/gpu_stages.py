# SPDX-License-Identifier: Apache-2.0
"""Stages of a frame on a GPU, by the GPU's own clock where only it works; a part of `bench_gpu.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from measurement import Measurement
from timing import WARM_UP, Times, latency, time_in_turns

from xover_core.config import InferenceSettings, MatchingSettings, RetrievalSettings
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.inference.device_session import DeviceSession
from xover_core.inference.frame_upload import FrameUpload
from xover_core.inference.locus_graph import locus_graph_of
from xover_core.inference.picture_session import prepare_picture
from xover_core.inference.session_factory import make_session
from xover_core.localization.keyframe_store import StoredView, make_stored_view
from xover_core.localization.matching_products import FloatMatchingProducts
from xover_core.localization.point_matcher import PointBlock, ProcessorPointMatcher
from xover_core.localization.processor_matcher import ProcessorMatcher
from xover_core.localization.product_threads import ProductThreads
from xover_core.localization.torch_point_matcher import TorchPointMatcher
from xover_core.localization.torch_view_matcher import TorchViewMatcher
from xover_core.types import Keyframe, PatchFeatures, RgbdFrame

NUM_VIEWS = 10
CACHE_MB = 256.0
# Descriptors that look alike in some places only, as those of a place and a query in it.
NOISE = 0.5


def wait_for(device: str) -> None:
    """Wait until a GPU has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def measure_upload(frame: RgbdFrame, size: tuple[int, int], device: str, rounds: int) -> Iterator[Measurement]:
    """A picture's bytes to the device and resized there, beside the processor that resizes it and copies floats."""
    upload = FrameUpload((frame.rgb.shape[0], frame.rgb.shape[1]), size, device)
    calls = {
        "bytes": lambda: upload.prepare_picture(frame.rgb),
        "floats": lambda: torch.from_numpy(prepare_picture(frame.rgb, size)).to(device),
    }
    times = time_in_turns({name: _and_wait(call, device) for name, call in calls.items()}, rounds)
    yield latency(
        "GPU, stages", "picture to the device", times["bytes"], "resized by the processor, as floats", times["floats"]
    )


def measure_network(
    model: str, radius: float, size: tuple[int, int], of_way: dict[str, InferenceSettings], baseline: str, rounds: int
) -> Iterator[Measurement]:
    """The network alone on a picture that is there, by torch's ways, on the GPU's own clock.

    Args:
        model: of kind `vit-locus`.
        radius: of its head, m.
        size: (height, width) of the picture, px.
        of_way: settings of what runs it, by name; backends other than torch are left out.
        baseline: one of them.
        rounds: passes of each.
    """
    graph = locus_graph_of(model, radius=radius)
    times = {}
    for way, settings in of_way.items():
        session = make_session(graph, settings)
        if isinstance(session, DeviceSession):
            picture = torch.rand((1, 3, *size), device=settings.device)
            times[way] = device_times(lambda s=session, p=picture: s.run_tensors((p,)), settings.device, rounds)
    for way, own in times.items():
        if way != baseline:
            yield latency("GPU, stages", f"network, {way}", own, baseline, times[baseline])


def device_times(call: Callable[[], object], device: str, rounds: int) -> Times:
    """What calls take by CUDA events, one after the other; on the processor by its clock."""
    taken, processor = [], []
    for turn in range(WARM_UP + rounds):
        begin = time.process_time()
        milliseconds = _timed(call, device)
        if turn >= WARM_UP:
            taken.append(milliseconds)
            processor.append(1e3 * (time.process_time() - begin))
    return Times(tuple(taken), tuple(processor))


def measure_matching(
    encoder: PatchEncoder, frame: RgbdFrame, device: str, rounds: int, num_threads: int
) -> Iterator[Measurement]:
    """A query whose features are on the device with keyframes, from features to pairs on the processor."""
    query = encoder.encode(frame)
    views = make_views(query, frame)
    settings = MatchingSettings()
    on_device = TorchViewMatcher(settings, device, CACHE_MB)
    on_processor = ProcessorMatcher(settings, ProductThreads(FloatMatchingProducts(), num_threads))
    calls = {"device": lambda: on_device.match(query, views), "processor": lambda: on_processor.match(query, views)}
    times = time_in_turns(calls, rounds)
    yield latency(
        "GPU, stages", f"match {NUM_VIEWS} keyframes of {len(query.keypoints_px)} patches", times["device"],
        f"processor, float32, {num_threads} threads", times["processor"],
    )  # fmt: skip


def measure_landmarks(encoder: PatchEncoder, frame: RgbdFrame, device: str, rounds: int) -> Iterator[Measurement]:
    """The same query with landmarks, as many as a map may have that is matched as a whole."""
    query = encoder.encode(frame)
    points = np.random.default_rng(0).normal(size=(RetrievalSettings().max_landmarks, query.finest.shape[1]))
    unit = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    blocks = [PointBlock(key=0, descriptors=unit)]
    settings = MatchingSettings()
    matchers = {
        "device": TorchPointMatcher(settings, device, CACHE_MB),
        "processor": ProcessorPointMatcher(settings),
    }
    times = time_in_turns({name: partial(one.match, query, blocks) for name, one in matchers.items()}, rounds)
    yield latency("GPU, stages", f"match {len(unit)} landmarks", times["device"], "processor", times["processor"])


def make_views(query: PatchFeatures, frame: RgbdFrame) -> list[StoredView]:
    """Keyframes that look like a query, and less so the later they come."""
    random = np.random.default_rng(0)
    views = []
    for index in range(NUM_VIEWS):
        noise = random.normal(scale=NOISE * index / np.sqrt(query.finest.shape[1]), size=query.finest.shape)
        moved = query.finest + noise
        unit = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        keyframe = Keyframe(
            keyframe_id=index + 1,
            scene_id=1,
            stamp_ns=index,
            T_map_camera=np.eye(4),
            intrinsics=frame.intrinsics,
            grid_shape=query.grid_shape,
            keypoints_px=query.keypoints_px,
            descriptors=(unit.astype(np.float16),),
            points_camera=np.ones((len(unit), 3), np.float32),
            thumbnail_jpeg=b"",
        )
        views.append(make_stored_view(keyframe))
    return views


def _and_wait(call: Callable[[], object], device: str) -> Callable[[], None]:
    """The call, and what it gave the device to do."""

    def run() -> None:
        call()
        wait_for(device)

    return run


def _timed(call: Callable[[], object], device: str) -> float:
    """Milliseconds of one call."""
    if device == "cpu":
        begin = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - begin)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
