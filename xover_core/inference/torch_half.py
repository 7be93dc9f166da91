# SPDX-License-Identifier: Apache-2.0
"""Half precision in torch, in those parts of a network that bear it: float16 on a GPU, bfloat16 on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

_HALF = {"cuda": torch.float16, "cpu": torch.bfloat16}

_Result = Tensor | tuple[Tensor, ...]


def compute_in_half(module: nn.Module, parts: Sequence[str], device: torch.device) -> None:
    """Let parts of a network compute products in half precision, sums and norms in float32, and give float32.

    Args:
        module: is changed.
        parts: as `named_modules` calls them; all of it when empty.
        device: that it is on.
    """
    for name in parts or ("",):
        part = module.get_submodule(name)
        # a list of modules is never called itself
        for called in part if isinstance(part, nn.ModuleList) else (part,):
            called.forward = _in_half(called.forward, device.type)


def _in_half(forward: Callable[..., _Result], device_type: str) -> Callable[..., _Result]:
    # weights that autocast keeps in half precision would outlive the memory of a recording that makes them
    context = torch.autocast(device_type, _HALF[device_type], cache_enabled=False)

    def run(*tensors: Tensor) -> _Result:
        with context:
            found = forward(*tensors)
        return found.float() if isinstance(found, Tensor) else tuple(one.float() for one in found)

    return run
