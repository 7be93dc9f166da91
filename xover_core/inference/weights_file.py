# SPDX-License-Identifier: Apache-2.0
"""Reading tensors from files without running anything that is in them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from xover_core.errors import ModelError

# A safetensors file begins with the length of its header, in bytes of JSON.
_LENGTH_BYTES = 8


def read_torch_file(path: Path) -> dict[str, Any]:
    """Contents of a file that `torch.save` wrote: tensors, numbers, strings and containers of them, nothing else.

    Raises:
        ModelError: no such file, damaged, not a dictionary, or with objects whose loading would run code.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"checkpoint {path}: holds other objects than tensors, and loading them would run code from the file,"
            " which xover never does; save its weights alone where you trust it, for example with"
            " torch.save({'model': checkpoint['model']}, file)."
        ) from error
    except (OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise ModelError(f"checkpoint {path}: cannot be read, {type(error).__name__}: {error}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"checkpoint {path}: expected a dictionary, got {type(content).__name__}.")
    return content


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        ModelError: no such file, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"weights {path}: cannot be read, {type(error).__name__}: {error}.") from error


def decode_safetensors(data: bytes, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of the contents of a safetensors file.

    Args:
        data: of the file.
        where: what errors call it.

    Raises:
        ModelError: damaged.
    """
    try:
        tensors = load(data)
        # the library reads metadata of files only: a length, then that much JSON
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")])
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"weights {where}: cannot be read, {type(error).__name__}: {error}.") from error
    return tensors, dict(header.get("__metadata__", {}))


def encode_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Contents of a safetensors file; the same tensors give the same bytes, and so the same checksum, each time."""
    data = save({key: value.cpu().contiguous() for key, value in tensors.items()}, dict(metadata))
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    # the library writes metadata in an order that it draws anew in every process
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # tensors begin where they are aligned
    ordered = ordered.ljust(-(-len(ordered) // _LENGTH_BYTES) * _LENGTH_BYTES)
    return len(ordered).to_bytes(_LENGTH_BYTES, "little") + ordered + data[_LENGTH_BYTES + length :]
