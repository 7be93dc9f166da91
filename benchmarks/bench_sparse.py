# SPDX-License-Identifier: Apache-2.0
"""What a sparse convolution costs: one 3^3 layer on surfaces of rooms, in every library that is installed, in turns.

    python benchmarks/bench_sparse.py --sizes 10000 100000 1000000

Times are processor times, which other work on the machine disturbs least; with one thread they are what a quiet machine
takes. Each measurement has a process of its own, for its peak of memory. Libraries beside this project are optional:
MinkowskiEngine, spconv, Open3D (open3d-cpu); dense conv3d is torch's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Generator, Iterator

import torch
from measurement import Measurement, NotMeasured, Row
from own_process import peak_memory_mb, run_apart
from section import run_section
from sparse_libraries import LIBRARIES, LeftOut
from torch import Tensor

OWN = "xover"
# relative difference of sums of squares; float32 sums in another order
MAX_DIFFERENCE = 1e-4
_MAX_CELLS = 1 << 16
_FIELDS = (
    ("first_ms", "first pass, neighbours included", "ms"),
    ("forward_ms", "forward", "ms"),
    ("both_ms", "forward and backward", "ms"),
    ("peak_mb", "memory", "MB"),
)
Cost = dict[str, float]


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """All libraries on clouds of each size."""
    sizes = args.sizes or args.effort.pick([10_000], [10_000, 100_000], [10_000, 100_000, 1_000_000])
    smallest: Cost | None = None
    for size in sizes:
        own = yield from measure_size(size, args.effort.pick(1, 1, 3), args)
        if smallest is not None:
            yield from compare(_area(size), own, f"its own for {sizes[0]:,} voxels", smallest, note="")
        smallest = smallest or own


def measure_size(size: int, rounds: int, args: argparse.Namespace) -> Generator[Row, None, Cost]:
    """All libraries on one cloud, in turns; this project beside each of the others, and its own costs."""
    area = _area(size)
    runs: dict[str, list[Cost]] = {name: [] for name in LIBRARIES}
    reasons: dict[str, str] = {}
    settings = {"size": size, "channels": args.channels, "num_calls": args.calls}
    for _ in range(rounds):
        for name in LIBRARIES:
            if name not in reasons:
                answer = _measure_apart(name, args.threads, settings)
                if isinstance(answer, str):
                    reasons[name] = answer
                else:
                    runs[name].append(answer)
    costs = {name: _medians(taken) for name, taken in runs.items() if name not in reasons}
    for name in LIBRARIES:
        if name in reasons:
            yield NotMeasured(area=area, name=name, reason=reasons[name])
        elif name != OWN:
            is_same = abs(costs[name]["checksum"] / costs[OWN]["checksum"] - 1) < MAX_DIFFERENCE
            note = "same result" if is_same else "ANOTHER RESULT"
            yield from compare(area, costs[OWN], name, costs[name], note)
    return costs[OWN]


def compare(area: str, own: Cost, name: str, other: Cost, note: str) -> Iterator[Measurement]:
    """This project beside something else."""
    for field, what, unit in _FIELDS:
        yield Measurement(
            area=area, name=what, value=own[field], unit=unit, baseline=name, baseline_value=other[field],
            note=note,
        )  # fmt: skip


def _area(size: int) -> str:
    return f"sparse convolution, about {size:,} voxels"


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


def _measure_apart(name: str, threads: int, settings: dict[str, int]) -> Cost | str:
    """Costs, or why there are none."""
    try:
        answer: Cost | str = run_apart(measure_here, threads=threads, name=name, **settings)
    except ChildProcessError as error:
        if name == OWN:
            raise
        return str(error)
    return answer


def measure_here(name: str, size: int, channels: int, num_calls: int) -> Cost | str:
    """Costs in this process, or why there are none."""
    small = make_surfaces(200)
    try:
        LIBRARIES[name](small, channels)(torch.zeros(len(small), channels))
        coordinates = make_surfaces(size)
        features = torch.randn(len(coordinates), channels, generator=torch.Generator().manual_seed(0))
        return _costs(lambda: LIBRARIES[name](coordinates, channels), features, num_calls)
    except ImportError as error:
        return f"not installed ({error})"
    except LeftOut as reason:
        return str(reason)


def _costs(make: Callable[[], Callable[[Tensor], Tensor]], features: Tensor, num_calls: int) -> Cost:
    """Time and memory of the first forward pass, neighbours included, of others, and with gradients."""
    before = peak_memory_mb()
    with torch.no_grad():
        start = time.process_time()
        convolve = make()
        output = convolve(features)
        first = time.process_time() - start
        forward = [_seconds(lambda: convolve(features)) for _ in range(num_calls)]
    differentiable = features.requires_grad_()
    both = [_seconds(lambda: convolve(differentiable).backward(output)) for _ in range(num_calls)]
    return {
        "first_ms": 1e3 * first,
        "forward_ms": 1e3 * statistics.median(forward),
        "both_ms": 1e3 * statistics.median(both),
        "peak_mb": peak_memory_mb() - before,
        "checksum": float(output.double().square().sum()),
    }


def _seconds(call: Callable[[], object]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def _medians(costs: list[Cost]) -> Cost:
    """Median of each number."""
    return {key: statistics.median(cost[key] for cost in costs) for key in costs[0]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes."""
    parser.add_argument("--sizes", type=int, nargs="+", help="voxels, about; default: by effort, up to 1,000,000")
    parser.add_argument("--channels", type=int, default=32, help="in and out (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--calls", type=int, default=5, help="in each process (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure, add_arguments))
