# SPDX-License-Identifier: Apache-2.0
"""Files of the scene inventory: safetensors, matrices in 8 bits with one scale for each row."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

import torch
from safetensors.torch import save
from torch import Tensor

from xover_core.errors import ModelError
from xover_core.inference.weights_file import decode_safetensors
from xover_core.networks.scene_inventory import InventoryShape, SceneInventory

_FORMAT, _VERSION = "xover scene inventory", "2"
_SCALE = ".scale"
_LARGEST = 127


def save_inventory(network: SceneInventory, traits: Sequence[str]) -> bytes:
    """A file's contents.

    Args:
        network: with its weights.
        traits: names of its traits, in their order.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if value.is_floating_point() and value.ndim > 1:
            tensors[name], tensors[name + _SCALE] = _rounded(value.detach().float())
        else:
            tensors[name] = value.detach().contiguous()
    facts = {"shape": json.dumps(dataclasses.asdict(network.shape)), "traits": json.dumps(list(traits))}
    contents: bytes = save(tensors, {"format": _FORMAT, "version": _VERSION, **facts})
    return contents


def load_inventory(contents: bytes, name: str) -> SceneInventory:
    """The network in evaluation mode, in float32.

    Args:
        contents: of a file that `save_inventory` wrote.
        name: for errors.

    Raises:
        ModelError: damaged, of another program, or with tensors that do not fit its sizes.
    """
    tensors, metadata = decode_safetensors(contents, name)
    if metadata.get("format") != _FORMAT or metadata.get("version") != _VERSION:
        found = f"{metadata.get('format')} {metadata.get('version')}"
        raise ModelError(f"weights {name}: expected {_FORMAT} {_VERSION}, got {found}; is it another model's file?")
    try:
        network = SceneInventory(InventoryShape(**json.loads(metadata["shape"])))
        network.load_state_dict(_restored(tensors))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"weights {name}: do not fit a scene inventory, {reason}; get the file again.") from error
    return network.eval()


def inventory_traits(contents: bytes, name: str) -> tuple[str, ...]:
    """Names of the traits of a file that `save_inventory` wrote.

    Raises:
        ModelError: damaged, or of another program.
    """
    _, metadata = decode_safetensors(contents, name)
    try:
        return tuple(json.loads(metadata["traits"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"weights {name}: expected names of traits, {type(error).__name__}; get the file again."
        ) from error


def _rounded(value: Tensor) -> tuple[Tensor, Tensor]:
    """int8 of the same shape, and (rows,) float32 scales."""
    rows = value.flatten(1)
    scales = rows.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
    return (rows / scales[:, None]).round().to(torch.int8).view(value.shape).contiguous(), scales


def _restored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices times their scales; all else as it is."""
    found = {}
    for name, value in tensors.items():
        if name.endswith(_SCALE):
            continue
        scales = tensors.get(name + _SCALE)
        found[name] = value if scales is None else value * scales.view(-1, *[1] * (value.ndim - 1))
    return found
