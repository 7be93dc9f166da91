# SPDX-License-Identifier: Apache-2.0
"""What describing a frame costs: every encoder on the same frame in turns, in one process.

    python benchmarks/bench_encoder.py --threads 2

Wall-clock time is what a robot waits; processor time is what it pays, and says more on a machine that is also busy
with other things.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from made_up_inputs import HEIGHT, WIDTH, make_frame

from xover_core.config import EncoderSettings, InferenceSettings
from xover_core.encoders.factory import make_encoder
from xover_core.encoders.patch_encoder import PatchEncoder
from xover_core.inference.model_store import load_export, load_weights
from xover_core.types import RgbdFrame

BASELINE, COMPACT = "rootsift-pca64", "locus-compact"
WARM_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One row. Times are medians for one frame; `file_mb` is what is loaded."""

    name: str
    wall_ms: float
    processor_ms: float
    wall_ratio: float
    file_mb: float


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of each encoder (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="frames for each encoder (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("runs/bench_encoder.json"), help="default: %(default)s")
    args = parser.parse_args()
    costs = measure(make_encoders(args.threads), make_frame(), args.rounds)
    print(f"{WIDTH}x{HEIGHT}, {args.threads} threads, {os.cpu_count()} cores, medians of {args.rounds} frames")
    print(f"{'encoder':30s} {'wall ms':>9s} {'CPU ms':>9s} {'ratio':>7s} {'file MB':>8s}")
    for cost in costs:
        print(
            f"{cost.name:30s} {cost.wall_ms:9.1f} {cost.processor_ms:9.1f} {cost.wall_ratio:7.2f} {cost.file_mb:8.2f}"
        )
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "threads": args.threads}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    result = {**facts, "costs": [dataclasses.asdict(cost) for cost in costs]}
    args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def make_encoders(num_threads: int) -> dict[str, tuple[PatchEncoder, int]]:
    """Encoders by their name in the table, with the bytes that each loads."""
    import cv2
    import torch

    cv2.setNumThreads(num_threads)
    torch.set_num_threads(num_threads)
    weights, exported = load_weights(COMPACT), load_export(COMPACT, "fp32")
    encoders: dict[str, tuple[PatchEncoder, int]] = {
        BASELINE: (make_encoder(EncoderSettings(model=BASELINE, image_height=HEIGHT)), len(load_weights(BASELINE))),
        f"{COMPACT}, torch": (_compact("torch", num_threads), len(weights)),
    }
    if exported is not None:
        encoders[f"{COMPACT}, ONNX Runtime"] = _compact("onnxruntime", num_threads), len(exported)
    return encoders


def _compact(backend: str, num_threads: int) -> PatchEncoder:
    settings = InferenceSettings(backend=backend, device="cpu", num_threads=num_threads)
    return make_encoder(EncoderSettings(model=COMPACT, image_height=HEIGHT), inference=settings)


def measure(encoders: dict[str, tuple[PatchEncoder, int]], frame: RgbdFrame, rounds: int) -> list[Cost]:
    """The encoders in turns, so that what else the machine does meets all alike."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in encoders}
    for turn in range(WARM_UP + rounds):
        for name, (encoder, _) in encoders.items():
            taken = _timed(lambda encoder=encoder: encoder.encode(frame))  # type: ignore[misc]
            if turn >= WARM_UP:
                times[name].append(taken)
    medians = {name: np.median(taken, axis=0) * 1e3 for name, taken in times.items()}
    return [
        Cost(
            name=name,
            wall_ms=float(wall),
            processor_ms=float(processor),
            wall_ratio=float(wall / medians[BASELINE][0]),
            file_mb=encoders[name][1] / 1e6,
        )
        for name, (wall, processor) in medians.items()
    ]


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds of a call, all threads together."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
