#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time and peak memory of vectorized smooth AP, value and gradient, against the definition held at once.

    python benchmarks/bench_smooth_ap.py [--pairs 10000 100000 1000000] [--positives 0.02] [--threads 1]
        [--device cpu] [--naive-limit-gb 8] [--json runs/bench_smooth_ap.json]

Each measurement runs in its own process; where other programs run too, the processor time is the one to read. Memory
is what the process needed at most beyond its inputs; the naive way is left out where it would need more than the limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from xover_core.training.smooth_ap import vectorized_smooth_ap

TEMPERATURE = 0.01
# float32 arrays of |P| x |universe| that autograd holds at most for the definition below
NAIVE_ARRAYS = 4


def main() -> None:
    """Run and print."""
    args = parse_arguments()
    if args.measure:
        print(json.dumps(measure(args.measure, args.pairs[0], args)))
        return
    rows = []
    for num_pairs in args.pairs:
        for way in ("exact", "naive"):
            if way == "exact" or naive_bytes(num_pairs, args.positives) < args.naive_limit_gb * 1e9:
                rows.append(measure_in_process(way, num_pairs, args))
                print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"torch": torch.__version__, "threads": args.threads, "rows": rows}, indent=1))


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--positives", type=float, default=0.02, help="share of the pairs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--naive-limit-gb", type=float, default=8.0)
    parser.add_argument("--json", type=Path, default=Path("runs/bench_smooth_ap.json"))
    parser.add_argument("--measure", choices=("exact", "naive"), help=argparse.SUPPRESS)
    return parser.parse_args()


def naive_bytes(num_pairs: int, share: float) -> float:
    """Memory of the definition."""
    return NAIVE_ARRAYS * 4 * share * num_pairs**2


def measure_in_process(way: str, num_pairs: int, args: argparse.Namespace) -> dict[str, float]:
    """Run `measure` in a fresh process, whose memory nothing else has touched."""
    command = [sys.executable, __file__, "--measure", way, "--pairs", str(num_pairs), "--device", args.device]
    command += ["--positives", str(args.positives), "--threads", str(args.threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def measure(way: str, num_pairs: int, args: argparse.Namespace) -> dict[str, object]:
    """Value, milliseconds and peak memory of one way."""
    torch.set_num_threads(args.threads)
    function: Callable[[Tensor, Tensor], Tensor] = vectorized_smooth_ap if way == "exact" else naive_smooth_ap
    similarities, is_positive = draw_pairs(num_pairs, args.positives, args.device)
    # the first call of a process loads libraries
    run_once(function, similarities[:100], is_positive[:100])
    start_bytes = reset_peak(args.device)
    start, start_cpu = time.perf_counter(), time.process_time()
    value = run_once(function, similarities, is_positive)
    wall_ms, cpu_ms = (time.perf_counter() - start) * 1e3, (time.process_time() - start_cpu) * 1e3
    return {
        "way": way,
        "pairs": num_pairs,
        "positives": int(is_positive.sum()),
        "smooth_ap": round(value, 7),
        "wall_ms": round(wall_ms, 1),
        "cpu_ms": round(cpu_ms, 1),
        "peak_mb": round((peak_bytes(args.device) - start_bytes) / 1e6, 1),
    }


def run_once(function: Callable[[Tensor, Tensor], Tensor], similarities: Tensor, is_positive: Tensor) -> float:
    """Value and gradient; gives the value."""
    leaf = similarities.clone().requires_grad_()
    value = function(leaf, is_positive)
    value.backward()
    assert leaf.grad is not None
    # waits until the device is done
    return float(value.detach()) + 0 * float(leaf.grad[0])


def naive_smooth_ap(similarities: Tensor, is_positive: Tensor) -> Tensor:
    """The definition in float32, all |P| x |universe| sigmoids at once, differentiated by autograd."""
    above = torch.sigmoid((similarities - similarities[is_positive, None]) / TEMPERATURE)
    rank_positive = 0.5 + (above * is_positive).sum(1)
    return (rank_positive / (0.5 + above.sum(1))).mean()


def draw_pairs(num_pairs: int, share: float, device: str) -> tuple[Tensor, Tensor]:
    """Similarities as of a half trained network: positives are higher, with overlap."""
    generator = torch.Generator().manual_seed(0)
    is_positive = torch.rand(num_pairs, generator=generator) < share
    is_positive[0] = True
    similarities = 0.15 * torch.randn(num_pairs, generator=generator) + 0.4 * is_positive
    return similarities.clamp(-1, 1).to(device), is_positive.to(device)


def reset_peak(device: str) -> int:
    """Forget the peak so far; gives the bytes in use."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return status_bytes("VmRSS")


def peak_bytes(device: str) -> int:
    """Most bytes in use since `reset_peak`."""
    return torch.cuda.max_memory_allocated() if device.startswith("cuda") else status_bytes("VmHWM")


def status_bytes(name: str) -> int:
    """A memory field of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
