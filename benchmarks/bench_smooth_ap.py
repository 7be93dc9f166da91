#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time and peak memory of vectorized smooth AP, value and gradient, against the definition held at once.

    python benchmarks/bench_smooth_ap.py [--pairs 10000 100000 1000000] [--positives 0.02] [--threads 1]

Each number is from a process of its own. Times are of the processor, since one call has nothing to take turns with.
Memory is what the process needed at most beyond its inputs. Where the definition would need more than the limit, the
largest size at which it was measured is the baseline: time and memory should grow as the pairs do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from measurement import Measurement, Row
from own_process import memory_mb, peak_memory_mb, run_apart
from section import run_section
from timing import time_once
from torch import Tensor

from xover_core.training.smooth_ap import vectorized_smooth_ap

AREA = "smooth AP, value and gradient"
TEMPERATURE = 0.01
# float32 arrays of |P| x |universe| that autograd holds at most for the definition below
NAIVE_ARRAYS = 4
Cost = dict[str, float]


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """Both ways at each size."""
    pairs = args.pairs or args.effort.pick([10_000], [10_000, 100_000], [10_000, 30_000, 100_000, 300_000, 1_000_000])
    baseline, baseline_cost = "", Cost()
    for num_pairs in pairs:
        cost = measure_apart("exact", num_pairs, args)
        if not baseline or naive_bytes(num_pairs, args.positives) < args.naive_limit_gb * 1e9:
            yield from rows(num_pairs, cost, "all sigmoids at once", measure_apart("naive", num_pairs, args))
            baseline, baseline_cost = f"its own for {num_pairs:,}", cost
        else:
            yield from rows(num_pairs, cost, baseline, baseline_cost)


def measure_apart(way: str, num_pairs: int, args: argparse.Namespace) -> Cost:
    """Call `measure_here` in a fresh process, whose memory nothing else has touched."""
    where = {"threads": args.threads, "device": args.device}
    cost: Cost = run_apart(measure_here, way=way, num_pairs=num_pairs, share=args.positives, **where)
    return cost


def rows(num_pairs: int, cost: Cost, baseline: str, baseline_cost: Cost) -> Iterator[Measurement]:
    """Time and memory of one size."""
    note = f"value {cost['value']:.7f} against {baseline_cost['value']:.7f}"
    for key, what, unit in (("processor_ms", "processor time", "ms"), ("peak_mb", "memory", "MB")):
        yield Measurement(
            area=AREA, name=f"{num_pairs:,} pairs, {what}", value=cost[key], unit=unit,
            baseline=baseline, baseline_value=baseline_cost[key], note=note,
        )  # fmt: skip


def naive_bytes(num_pairs: int, share: float) -> float:
    """Memory of the definition."""
    return NAIVE_ARRAYS * 4 * share * num_pairs**2


def measure_here(way: str, num_pairs: int, share: float, device: str) -> Cost:
    """Value, milliseconds and peak memory of one way, in this process."""
    function: Callable[[Tensor, Tensor], Tensor] = vectorized_smooth_ap if way == "exact" else naive_smooth_ap
    similarities, is_positive = draw_pairs(num_pairs, share, device)
    # the first call of a process loads libraries
    run_once(function, similarities[:100], is_positive[:100])
    before_mb = reset_peak(device)
    value, times = time_once(lambda: run_once(function, similarities, is_positive))
    return {"value": value, "processor_ms": times.processor_p50, "peak_mb": peak_mb(device) - before_mb}


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


def reset_peak(device: str) -> float:
    """Forget the peak so far; gives the MB in use."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 1e6
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mb()


def peak_mb(device: str) -> float:
    """Most MB in use since `reset_peak`."""
    return torch.cuda.max_memory_allocated() / 1e6 if device.startswith("cuda") else peak_memory_mb()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes and where."""
    parser.add_argument("--pairs", type=int, nargs="+", help="ascending; default: by effort, up to 1,000,000")
    parser.add_argument("--positives", type=float, default=0.02, help="share of the pairs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--naive-limit-gb", type=float, default=4.0, help="default: %(default)s")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
