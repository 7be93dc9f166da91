# SPDX-License-Identifier: Apache-2.0
"""What a sparse convolution costs: one 3^3 layer on surfaces of rooms, in every library that is installed, in turns.

    python benchmarks/bench_sparse.py --sizes 10000 100000 1000000

Times are processor times, which other work on the machine disturbs least; with one thread they are what a quiet machine
takes. Each measurement has a process of its own, for its peak of memory. Libraries beside this project are optional:
MinkowskiEngine, spconv, Open3D (open3d-cpu); dense conv3d is torch's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from sparse_libraries import LIBRARIES, NotMeasured
from torch import Tensor

BASELINE = "xover"
# relative difference of sums of squares; float32 sums in another order
MAX_DIFFERENCE = 1e-4
_MAX_CELLS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One library on one cloud: ms of the processor, MB above the start, a sum that tells right from wrong."""

    first: float
    forward: float
    both: float
    peak_mb: float
    checksum: float


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="voxels, about")
    parser.add_argument("--channels", type=int, default=32, help="in and out (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each number (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=5, help="in each process (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("runs/bench_sparse.json"), help="default: %(default)s")
    parser.add_argument("--only", choices=LIBRARIES, help="measure this one in this process and print JSON")
    args = parser.parse_args()
    if args.only:
        print(json.dumps(_measure_here(args.only, args.sizes[0], args)))
        return
    print(f"{args.channels} channels, {args.threads} threads of {os.cpu_count()}, medians of {args.rounds} processes")
    results = {size: _measure_size(size, args) for size in args.sizes}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    facts = {"machine": platform.machine(), "threads": args.threads, "channels": args.channels}
    costs = {size: {name: dataclasses.asdict(cost) for name, cost in row.items()} for size, row in results.items()}
    args.json.write_text(json.dumps({**facts, "costs": costs}, indent=1) + "\n", encoding="utf-8")


def make_surfaces(num_voxels: int) -> Tensor:
    """(N, 4) int64: voxels of walls, floor and furniture of a turned room, N within a few percent of what is asked."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.cat([torch.tensor([[4.5, 3.8, 2.6]]), 0.3 + torch.rand(8, 3, generator=generator)])
    corners = torch.cat([torch.zeros(1, 3), torch.rand(8, 3, generator=generator) * torch.tensor([3.2, 2.5, 0.1])])
    turn = torch.tensor([[0.955, -0.296, 0.0], [0.296, 0.955, 0.0], [0.0, 0.0, 1.0]])
    scale = (num_voxels / 100.0) ** 0.5
    for _ in range(3):
        voxels = _voxels_of_boxes(sizes * scale, corners * scale, turn)
        scale *= (num_voxels / len(voxels)) ** 0.5
    return torch.nn.functional.pad(voxels - voxels.amin(0), (1, 0))


def _voxels_of_boxes(sizes: Tensor, corners: Tensor, turn: Tensor) -> Tensor:
    """(N, 3) int64 voxels of side 1 that the faces of boxes pass through."""
    faces = []
    for size, corner in zip(sizes, corners, strict=True):
        steps = [torch.arange(0, float(side), 0.7) for side in size]
        for axis in range(3):
            for end in (0.0, float(size[axis])):
                face = torch.cartesian_prod(*(torch.tensor([end]) if k == axis else steps[k] for k in range(3)))
                faces.append(((face + corner) @ turn.T).floor().long())
    x, y, z = (torch.cat(faces) + _MAX_CELLS // 2).T
    # in the order of this project's rows, so that none has to be sorted
    keys = ((z * _MAX_CELLS + y) * _MAX_CELLS + x).unique()
    return torch.stack([keys % _MAX_CELLS, keys // _MAX_CELLS % _MAX_CELLS, keys // _MAX_CELLS**2], dim=1)


def _measure_size(size: int, args: argparse.Namespace) -> dict[str, Cost]:
    """All libraries on one cloud, in turns; prints a table."""
    runs: dict[str, list[Cost]] = {name: [] for name in LIBRARIES}
    reasons: dict[str, str] = {}
    for _ in range(args.rounds):
        for name in LIBRARIES:
            if name not in reasons:
                answer = _measure_apart(name, size, args)
                if isinstance(answer, str):
                    reasons[name] = answer
                else:
                    runs[name].append(answer)
    if BASELINE in reasons:
        raise SystemExit(reasons[BASELINE])
    costs = {name: _median(taken) for name, taken in runs.items() if name not in reasons}
    _print_table(size, costs, reasons)
    return costs


def _measure_apart(name: str, size: int, args: argparse.Namespace) -> Cost | str:
    """Costs, or why there are none."""
    own = ["--only", name, "--sizes", str(size), "--calls", str(args.calls)]
    own += ["--channels", str(args.channels), "--threads", str(args.threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run([sys.executable, __file__, *own], capture_output=True, text=True, env=environment)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer if isinstance(answer, str) else Cost(**answer)


def _measure_here(name: str, size: int, args: argparse.Namespace) -> dict[str, float] | str:
    """Costs in this process, or why there are none."""
    torch.set_num_threads(args.threads)
    small = make_surfaces(200)
    try:
        LIBRARIES[name](small, args.channels)(torch.zeros(len(small), args.channels))
        coordinates = make_surfaces(size)
        features = torch.randn(len(coordinates), args.channels, generator=torch.Generator().manual_seed(0))
        return _costs(lambda: LIBRARIES[name](coordinates, args.channels), features, args.calls)
    except ImportError as error:
        return f"not installed ({error})"
    except NotMeasured as reason:
        return str(reason)


def _costs(make: Callable[[], Callable[[Tensor], Tensor]], features: Tensor, num_calls: int) -> dict[str, float]:
    """Time and memory of the first forward pass, neighbours included, of others, and with gradients."""
    before = _peak_mb()
    with torch.no_grad():
        start = time.process_time()
        convolve = make()
        output = convolve(features)
        first = time.process_time() - start
        forward = [_seconds(lambda: convolve(features)) for _ in range(num_calls)]
    differentiable = features.requires_grad_()
    both = [_seconds(lambda: convolve(differentiable).backward(output)) for _ in range(num_calls)]
    return {
        "first": 1e3 * first,
        "forward": 1e3 * statistics.median(forward),
        "both": 1e3 * statistics.median(both),
        "peak_mb": _peak_mb() - before,
        "checksum": float(output.double().square().sum()),
    }


def _seconds(call: Callable[[], object]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def _peak_mb() -> float:
    """Most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _median(costs: list[Cost]) -> Cost:
    """Median of each number."""
    fields = [field.name for field in dataclasses.fields(Cost)]
    return Cost(**{name: statistics.median(getattr(cost, name) for cost in costs) for name in fields})


def _print_table(size: int, costs: dict[str, Cost], reasons: dict[str, str]) -> None:
    """Rows for what was measured, sentences for what was not."""
    own = costs[BASELINE]
    print(f"\nabout {size:,} voxels; ms; in brackets as multiples of {BASELINE}")
    for name, cost in costs.items():
        numbers = "  ".join(
            f"{label} {getattr(cost, field):9.1f} ({getattr(cost, field) / getattr(own, field):5.2f})"
            for label, field in (
                ("first", "first"),
                ("forward", "forward"),
                ("and backward", "both"),
                ("MB", "peak_mb"),
            )
        )
        is_same = abs(cost.checksum / own.checksum - 1) < MAX_DIFFERENCE
        print(f"{name:16s} {numbers}  {'same result' if is_same else 'ANOTHER RESULT'}")
    for name, reason in reasons.items():
        print(f"{name:16s} not measured: {reason}")


if __name__ == "__main__":
    main()
