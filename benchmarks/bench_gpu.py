#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a GPU brings: a frozen transformer with a LoCUS head, matching, and whole localizer steps on it.

    python benchmarks/bench_gpu.py [--backbone dino-vitb8] [--image-height 256] [--no-export]

The transformer has random weights of the true architecture: it takes as long as the published one, and its answers are
of no use. Its baseline is torch, eager and in float32, on the same GPU; that of matching is the processor. Frames are
cut to 5:4, so that 256 rows are 320 columns, as LoCUS has them. For ONNX Runtime and TensorRT the network is exported
first, which takes minutes and is not timed. Without a GPU it says so and is done.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from bench_localize import load_recordings, localize_in_turns, stage_times, write_map
from gpu_stages import measure_landmarks, measure_matching, measure_network, measure_upload, wait_for
from made_up_inputs import make_frame
from measurement import Measurement, NotMeasured, Row
from section import run_section
from timing import latency, percentile, time_in_turns

from xover_core.config import EncoderSettings, InferenceSettings, SceneEncoderSettings, XoverSettings
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.encoders.factory import make_encoder
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.errors import XoverError
from xover_core.inference.export_install import export_into
from xover_core.inference.locus_install import install_locus
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_entry
from xover_core.localization.localizer import load_localizer
from xover_core.networks.locus_head import LocusHead
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork
from xover_core.networks.vit_backbone import VitBackbone, vit_shape
from xover_core.types import RgbdFrame

MODEL, RADIUS = "random-locus", 0.2
BASELINE = "torch fp32"
FASTEST_FIRST = ("torch-cuda-graphs fp16", "torch fp16", BASELINE)
"""What runs the localizer that is timed: the first of these that runs here."""
WAYS = (
    *(BASELINE, "torch fp16", "torch-compiled fp16", "torch-cuda-graphs fp16"),
    *("onnxruntime fp32", "onnxruntime fp16", "tensorrt fp32", "tensorrt fp16"),
)
EXPORTED = ("fp32", "fp16")
ASPECT = 5 / 4
NO_GPU = "no CUDA device"


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Encoding on all backends, its stages, matching, and localizer steps."""
    if args.device != "cpu" and not torch.cuda.is_available():
        yield NotMeasured(area="GPU", name="all of it", reason=NO_GPU)
        return
    with tempfile.TemporaryDirectory(prefix="xover_bench_") as folder:
        os.environ[MODELS_DIR_VARIABLE] = folder
        install_random(Path(folder), args.backbone)
        if args.export:
            yield from export_all(Path(folder))
        frame = cut(make_frame())
        encoders: dict[str, PatchEncoder] = {}
        for way in WAYS:
            try:
                encoders[way] = open_encoder(way, args, frame)
            except XoverError as error:
                yield NotMeasured(area="GPU, encoding", name=way, reason=str(error))
        yield from measure_encoding(encoders, frame, args)
        yield from measure_parts(encoders, frame, args)
        way = next(way for way in FASTEST_FIRST if way in encoders)
        # their memory is for others now
        encoders.clear()
        yield from measure_steps(way, args, Path(folder))


def open_encoder(way: str, args: argparse.Namespace, frame: RgbdFrame) -> PatchEncoder:
    """An encoder that has described a picture: some libraries find out at the first one that they cannot.

    Raises:
        XoverError: it cannot run here.
    """
    settings = EncoderSettings(model=MODEL, image_height=args.image_height)
    encoder = make_encoder(settings, inference=inference_settings(args, way))
    encoder.encode(frame)
    return encoder


def measure_parts(encoders: Mapping[str, PatchEncoder], frame: RgbdFrame, args: argparse.Namespace) -> Iterator[Row]:
    """Stages of encoding, and matching."""
    rounds = args.effort.pick(5, 30, 200)
    rows, cols = encoders[BASELINE].encode(frame).grid_shape
    patch = vit_shape(args.backbone).patch_size
    size = rows * patch, cols * patch
    of_way = {way: inference_settings(args, way) for way in encoders if way.startswith("torch")}
    yield from measure_upload(frame, size, args.device, rounds)
    yield from measure_network(MODEL, RADIUS, size, of_way, BASELINE, rounds)
    threads = len(os.sched_getaffinity(0))
    yield from measure_matching(encoders[BASELINE], frame, args.device, rounds, threads)
    yield from measure_landmarks(encoders[BASELINE], frame, args.device, rounds)


def install_random(folder: Path, backbone: str) -> None:
    """A model with random weights of the true architecture."""
    torch.manual_seed(0)
    shape = vit_shape(backbone)
    network = MultiRadiusEncoderNetwork(VitBackbone(shape), [LocusHead(shape.width)], [RADIUS])
    install_locus(
        network, name=MODEL, folder=folder, licence="none", source="random", like=model_entry("locus-compact")
    )


def export_all(folder: Path) -> Iterator[Row]:
    """Exported files for the backends that need one; rows only where there is none."""
    (graph,) = graphs_of(MODEL)
    for precision in EXPORTED:
        try:
            export_into(folder, graph, precision=precision)
        except XoverError as error:
            yield NotMeasured(area="GPU, encoding", name=f"exported file, {precision}", reason=str(error))


def inference_settings(args: argparse.Namespace, way: str) -> InferenceSettings:
    """`torch fp16` and so on as settings."""
    backend, precision = way.split()
    return InferenceSettings(backend=backend, precision=precision, device=args.device)


def cut(frame: RgbdFrame) -> RgbdFrame:
    """The middle of a frame, 5 wide for 4 high."""
    camera = frame.intrinsics
    width = min(camera.width, round(camera.height * ASPECT))
    left = (camera.width - width) // 2
    columns = slice(left, left + width)
    return dataclasses.replace(
        frame,
        rgb=frame.rgb[:, columns].copy(),
        depth=None if frame.depth is None else frame.depth[:, columns].copy(),
        intrinsics=dataclasses.replace(camera, width=width, cx=camera.cx - left),
    )


def measure_encoding(
    encoders: Mapping[str, PatchEncoder], frame: RgbdFrame, args: argparse.Namespace
) -> Iterator[Measurement]:
    """From the frame's bytes to features that are ready where they stay, on the wall clock."""

    def encode(encoder: PatchEncoder) -> None:
        encoder.encode(frame)
        wait_for(args.device)

    calls = {way: (lambda one=encoder: encode(one)) for way, encoder in encoders.items()}
    times = time_in_turns(calls, args.effort.pick(5, 30, 200))
    for way, own in times.items():
        for percent in (50, 95):
            yield latency(
                "GPU, encoding", f"{args.backbone}, {way}, p{percent}", own, BASELINE, times[BASELINE], percent=percent
            )


def measure_steps(way: str, args: argparse.Namespace, folder: Path) -> Iterator[Measurement]:
    """A map by the random model, and localizer steps in it with the fastest backend and with the baseline in turns."""
    mapped, queries = (
        [cut_item(item) for item in items] for items in load_recordings(None, args.effort.pick(10, 60, 200))
    )
    of_way = {
        name: XoverSettings(
            encoder=EncoderSettings(model=MODEL, image_height=args.image_height),
            scene_encoder=SceneEncoderSettings(model=""),
            inference=inference_settings(args, name),
        )
        for name in {way, BASELINE}
    }
    write_map(mapped, folder / "gpu.xover", of_way[BASELINE])
    localizers = {name: load_localizer(folder / "gpu.xover", settings) for name, settings in of_way.items()}
    results = localize_in_turns({name: one.process for name, one in localizers.items()}, queries)
    times = {name: stage_times(found) for name, found in results.items()}
    for stage, own in times[way].items():
        for percent in (50, 95):
            yield Measurement(
                area="GPU, localizer step",
                name=f"{args.backbone}, {stage}, p{percent}",
                value=percentile(own, percent),
                unit="ms",
                baseline=BASELINE,
                baseline_value=percentile(times[BASELINE][stage], percent),
                note=way,
            )


def cut_item(item: SequenceItem) -> SequenceItem:
    """A recording's frame, cut."""
    return dataclasses.replace(item, frame=cut(item.frame))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which transformer, at which size, where."""
    parser.add_argument("--backbone", default="dino-vitb8", help="architecture (default: %(default)s)")
    parser.add_argument("--image-height", type=int, default=256, help="px, 8 for a row (default: %(default)s)")
    parser.add_argument("--device", default="cuda:0", help="of torch; cpu tries the script (default: %(default)s)")
    parser.add_argument("--no-export", dest="export", action="store_false", help="torch alone")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
