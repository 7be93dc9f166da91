# SPDX-License-Identifier: Apache-2.0
"""Weights of the compact encoder as safetensors: every size is that of a tensor, radii stand in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from xover_core.errors import ModelError
from xover_core.inference.checkpoint_report import Shapes, compare_tensors
from xover_core.inference.weights_file import decode_safetensors, read_safetensors
from xover_core.networks.compact_encoder import CompactEncoder

FORMAT = "xover-compact-1"
_BLOCK = "blocks."


def save_compact(network: CompactEncoder, path: Path) -> None:
    """Write weights and radii; `load_compact` reads them."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path, {"format": FORMAT, "radii": json.dumps(network.radii)})


def load_compact(source: Path | bytes, where: str = "") -> CompactEncoder:
    """Make the network of a file.

    Args:
        source: the file, or its contents.
        where: what errors call the contents; a file goes by its path.

    Returns:
        The network in evaluation mode on the CPU.

    Raises:
        ModelError: the file cannot be read, is of another format, or tensors are missing, unexpected or misshapen.
    """
    name = where or (str(source) if isinstance(source, Path) else "in memory")
    tensors, metadata = read_safetensors(source) if isinstance(source, Path) else decode_safetensors(source, name)
    if metadata.get("format") != FORMAT:
        raise ModelError(f"weights {name}: expected format {FORMAT}, got {metadata.get('format')}.")
    try:
        radii = [float(radius) for radius in json.loads(metadata["radii"])]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"weights {name}: damaged metadata, {type(error).__name__}: {error}.") from error
    sizes = _sizes(tensors)
    compare_tensors(tensors, _shapes(radii, sizes), {}).require_complete(name)
    network = CompactEncoder(radii, **sizes)
    network.load_state_dict(tensors)
    return network.eval()


def _sizes(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Arguments of `CompactEncoder` that these tensors fit; those whose tensor is missing stay away."""
    rows = {
        "gradient_dim": "gradients.bias",
        "other_dim": "others.bias",
        "width": "norm.bias",
        "feature_dim": "base_heads.0.bias",
    }
    sizes = {name: len(tensors[key]) for name, key in rows.items() if key in tensors and tensors[key].ndim}
    return sizes | {"num_blocks": len({key.split(".")[1] for key in tensors if key.startswith(_BLOCK)})}


def _shapes(radii: list[float], sizes: Mapping[str, int]) -> Shapes:
    """Shapes by key of the tensors that such a network has."""
    with torch.device("meta"):
        network = CompactEncoder(radii, **sizes)
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
