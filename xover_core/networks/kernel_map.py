# SPDX-License-Identifier: Apache-2.0
"""Which input voxel meets which output voxel under each offset of a kernel.

Voxels are sorted keys (`coordinate_keys`). Offsets along x need no search of their own: the next voxel of a row is at
the place found for the one before, or at the next. So a 3^3 kernel takes 9 searches, and 4 where inputs and outputs are
the same voxels, because offset -o then has the pairs of offset o, swapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from xover_core.errors import ModelError
from xover_core.networks.coordinate_keys import MAX_REACH, key_offsets


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelMap:
    """Pairs of rows for each offset of a kernel; within one offset no input and no output appears twice.

    Attributes:
        inputs: for each offset (P,) int64 rows of the input.
        outputs: for each offset (P,) int64 rows of the output, ascending.
        num_inputs: rows of the input.
        num_outputs: rows of the output.
        identity: the offset whose pairs are all rows with themselves, if there is one.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    num_inputs: int
    num_outputs: int
    identity: int | None

    def transposed(self) -> KernelMap:
        """The same pairs from outputs to inputs, as gradients flow."""
        return KernelMap(
            inputs=self.outputs,
            outputs=self.inputs,
            num_inputs=self.num_outputs,
            num_outputs=self.num_inputs,
            identity=self.identity,
        )


def build_kernel_map(
    in_keys: Tensor, out_keys: Tensor, *, kernel_size: int, in_stride: int, out_stride: int, dilation: int
) -> KernelMap:
    """Find all pairs: input voxel = output voxel + offset * in_stride * dilation.

    Args:
        in_keys: (N,) sorted keys.
        out_keys: (M,) sorted keys; the same tensor as `in_keys` for a convolution with stride 1.
        kernel_size: along each axis; odd kernels are centred, even ones start at 0.
        in_stride: input coordinates are multiples of this, voxels.
        out_stride: output coordinates are, a multiple of `in_stride`.
        dilation: distance of neighbouring offsets in units of `in_stride`.

    Raises:
        ModelError: the kernel reaches farther than keys allow.
    """
    reach = kernel_size * in_stride * dilation + out_stride
    if reach > MAX_REACH:
        raise ModelError(
            f"sparse kernel: expected a reach of at most {MAX_REACH} voxels, got {reach}; use fewer stages."
        )
    offsets = key_offsets(kernel_size, in_stride * dilation)
    is_symmetric = in_keys is out_keys and kernel_size % 2 == 1
    num_searched = len(offsets) // 2 if is_symmetric else len(offsets)
    # With a dilation, voxels lie between neighbouring offsets along x, so that each is searched.
    line = kernel_size if dilation == 1 else 1
    pairs = list(_find_pairs(in_keys, out_keys, offsets[:num_searched], line))
    if is_symmetric:
        rows = torch.arange(len(in_keys), device=in_keys.device)
        pairs = [*pairs, (rows, rows), *((outputs, inputs) for inputs, outputs in reversed(pairs))]
    return KernelMap(
        inputs=tuple(inputs for inputs, _ in pairs),
        outputs=tuple(outputs for _, outputs in pairs),
        num_inputs=len(in_keys),
        num_outputs=len(out_keys),
        identity=num_searched if is_symmetric else None,
    )


def _find_pairs(in_keys: Tensor, out_keys: Tensor, offsets: list[int], line: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of inputs and outputs for each offset; each `line` offsets are neighbours along x."""
    end = torch.full_like(in_keys[:1], torch.iinfo(torch.int64).max)
    padded = torch.cat([in_keys, end])
    rows, is_found = torch.empty(0), torch.empty(0)
    for number, offset in enumerate(offsets):
        wanted = out_keys + offset
        rows = rows + is_found if number % line else torch.searchsorted(in_keys, wanted)
        is_found = padded.index_select(0, rows) == wanted
        outputs = is_found.nonzero().squeeze(1)
        yield rows.index_select(0, outputs), outputs
