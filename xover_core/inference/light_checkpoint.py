# SPDX-License-Identifier: Apache-2.0
"""Files of the light CrossOver: safetensors in half precision, with the sizes of the network."""

from __future__ import annotations

import dataclasses
import json

import torch
from safetensors.torch import save

from xover_core.errors import ModelError
from xover_core.inference.weights_file import decode_safetensors
from xover_core.networks.light_crossover import LightCrossover, LightShape
from xover_core.networks.sparse_backend import SparseLayers

_FORMAT, _VERSION = "xover light crossover", "1"


def save_light(model: LightCrossover) -> bytes:
    """A file's contents; weights are rounded to float16, which halves it."""
    tensors = {
        name: value.detach().to("cpu", torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    shape = json.dumps(dataclasses.asdict(model.shape))
    contents: bytes = save(tensors, {"format": _FORMAT, "version": _VERSION, "shape": shape})
    return contents


def load_light(contents: bytes, name: str, layers: SparseLayers | None = None) -> LightCrossover:
    """The network in evaluation mode, in float32.

    Args:
        contents: of a file that `save_light` wrote.
        name: for errors.
        layers: of the library that computes sparse convolutions; None: as `make_sparse_layers` chooses.

    Raises:
        ModelError: damaged, of another program, or with tensors that do not fit its sizes.
    """
    tensors, metadata = decode_safetensors(contents, name)
    if metadata.get("format") != _FORMAT or metadata.get("version") != _VERSION:
        found = f"{metadata.get('format')} {metadata.get('version')}"
        raise ModelError(f"weights {name}: expected {_FORMAT} {_VERSION}, got {found}; is it another model's file?")
    try:
        model = LightCrossover(LightShape(**json.loads(metadata["shape"])), layers)
        model.load_state_dict({key: v.float() if v.is_floating_point() else v for key, v in tensors.items()})
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"weights {name}: do not fit the light CrossOver, {reason}; get the file again.") from error
    return model.eval()
