# SPDX-License-Identifier: Apache-2.0
"""Half precision in torch, in those parts of a network that bear it: float16 on a GPU, bfloat16 on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

_HALF = {"cuda": torch.float16, "cpu": torch.bfloat16}
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Whose weights take part in products only; those of norms stay float32."""
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules of torch that read the weights of their layers by themselves, and not always where autocast converts."""

_Result = Tensor | tuple[Tensor, ...]


def compute_in_half(module: nn.Module, parts: Sequence[str], device: torch.device) -> None:
    """Let parts of a network compute products in half precision, sums and norms in float32, and give float32.

    Args:
        module: is changed; weights of products are rounded once and for all, which halves their memory.
        parts: as `named_modules` calls them; all of it when empty.
        device: that it is on.
    """
    for name in parts or ("",):
        part = module.get_submodule(name)
        # a list of modules is never called itself
        for called in part if isinstance(part, nn.ModuleList) else (part,):
            for layer in _layers_in(called):
                _round_weights(layer, device.type)
            called.forward = _in_half(called.forward, device.type)


def _in_half(forward: Callable[..., _Result], device_type: str) -> Callable[..., _Result]:
    # weights that autocast keeps in half precision would outlive the memory of a recording that makes them
    context = torch.autocast(device_type, _HALF[device_type], cache_enabled=False)

    def run(*tensors: Tensor) -> _Result:
        with context:
            found = forward(*tensors)
        return found.float() if isinstance(found, Tensor) else tuple(one.float() for one in found)

    return run


def _layers_in(module: nn.Module) -> Iterator[nn.Module]:
    """The module or its parts whose weights can be rounded."""
    kept = {id(layer) for reader in module.modules() if isinstance(reader, _READERS) for layer in reader.children()}
    # no subclasses, which may do something else with their weights
    yield from (one for one in module.modules() if type(one) in _LAYERS and id(one) not in kept)


def _round_weights(layer: nn.Module, device_type: str) -> None:
    """Keep the weights of a layer as autocast would convert them for each input."""
    half, forward = _HALF[device_type], layer.forward
    layer.to(half)

    def run(values: Tensor) -> Tensor:
        if torch.is_autocast_enabled(device_type):
            found: Tensor = forward(values)
            return found
        # a network may take a layer out of its part, and call it alone
        alone: Tensor = forward(values.to(half))
        return alone.float()

    layer.forward = run
