# SPDX-License-Identifier: Apache-2.0
"""The compact encoder as one ONNX file for frames of any size, compared with torch before anybody uses it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.compact_session import (
    INPUT_NAMES,
    OUTPUT_PREFIX,
    OUTPUT_SUFFIX,
    OnnxCompactSession,
    TorchCompactSession,
)
from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.networks.metric_stem import PATCH_SIZE
from xover_core.types import Float32Array

OPSET = 18
# Largest difference of a feature's component (features have a norm of 1 at most) between torch and ONNX Runtime. Sums
# in another order make 1e-5; a window's cell that is rounded to its neighbour would make 1e-2.
PARITY_TOLERANCE = 1e-3
# (rows, cols) of patches: even and odd, since pooling treats the last odd one in its own way.
_PARITY_GRIDS = ((22, 30), (15, 21))
_MIN_GRID, _MAX_GRID = 4, 512

Inputs = tuple[Float32Array, Float32Array, Float32Array]


class _OneFrame(nn.Module):
    """The network with (N, D) outputs for a batch of one."""

    def __init__(self, network: CompactEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, depth: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
        """For each radius (N, D)."""
        features: tuple[Tensor, ...] = self.network(image, depth, intrinsics)
        return tuple(one.flatten(0, 2) for one in features)


def export_compact(network: CompactEncoder, path: Path, opset: int = OPSET) -> None:
    """Write a network as ONNX; half a minute, most of it for the sizes of the image pyramid in symbols.

    Inputs are float32 `image` (1, 3, H, W) in [0, 1], `depth` (1, H, W) metres, `intrinsics` (1, 4) px, with H and W
    any multiples of 8 from 32; outputs `features_0.2m` (N, D) and so on, one for each radius.

    Args:
        network: to export; it is not changed.
        path: of the file.
        opset: version of the ONNX operators.

    Raises:
        BackendUnavailableError: onnx or onnxscript is missing.
        ModelError: ONNX Runtime does not give what torch gives; the file is removed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BackendUnavailableError(
            f"exporting to ONNX needs {error.name}, which is not installed; pip install 'xover[onnx]'."
        ) from error
    model = _convert(network, opset)
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]  # source lines and folders of this machine
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    try:
        check_parity(network, path.read_bytes())
    except ModelError:
        path.unlink()
        raise


def check_parity(network: CompactEncoder, exported: bytes) -> float:
    """Compare ONNX Runtime with torch on noise and on smooth images of two sizes, with and without depth.

    Returns:
        The largest difference of a component.

    Raises:
        ModelError: it is above `PARITY_TOLERANCE`.
    """
    reference, session = TorchCompactSession(network), OnnxCompactSession(exported)
    worst = 0.0
    for inputs in _parity_inputs():
        pairs = zip(reference.run(*inputs), session.run(*inputs), strict=True)
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in pairs))
    if not worst <= PARITY_TOLERANCE:
        raise ModelError(
            f"exported compact encoder: expected features within {PARITY_TOLERANCE:g} of those of torch, got a"
            f" difference of {worst:.2g}; do not use it, and try another version of torch or onnxruntime."
        )
    return worst


def _convert(network: CompactEncoder, opset: int) -> Any:
    """The ONNX model, an `onnx.ModelProto`."""
    rows, cols = (torch.export.Dim(name, min=_MIN_GRID, max=_MAX_GRID) for name in ("rows", "cols"))
    height, width = PATCH_SIZE * rows, PATCH_SIZE * cols
    example = tuple(torch.from_numpy(array) for array in next(_parity_inputs()))
    log = logging.getLogger("torch.onnx")
    level = log.level
    try:
        log.setLevel(logging.ERROR)  # it warns of operators of libraries that are not installed
        # no_grad: what it switches on the way would become subgraphs
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch about itself
            program = torch.export.export(
                _OneFrame(network).eval(),
                example,
                dynamic_shapes=({2: height, 3: width}, {1: height, 2: width}, {}),
                strict=False,
            )
            converted = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                optimize=False,  # ONNX Runtime does so when it loads the file, in a fraction of the time
                opset_version=opset,
                input_names=list(INPUT_NAMES),
                output_names=[f"{OUTPUT_PREFIX}{radius:g}{OUTPUT_SUFFIX}" for radius in network.radii],
            )
    finally:
        log.setLevel(level)
    if converted is None:
        raise ModelError("compact encoder: torch gave no ONNX model; try another version of torch.")
    return converted.model_proto


def _parity_inputs() -> Iterator[Inputs]:
    """Images, depths and cameras to compare on; the first has a reading everywhere."""
    random = np.random.default_rng(0)
    for rows, cols in _PARITY_GRIDS:
        height, width = rows * PATCH_SIZE, cols * PATCH_SIZE
        v, u = np.mgrid[0:height, 0:width].astype(np.float32)
        noise = random.random((1, 3, height, width), dtype=np.float32)
        waves = np.stack([np.sin(u / 7 + v / 13), np.cos(u / 5), np.sin(v / 9)])[None] * 0.5 + 0.5
        slope = (1.0 + 3.0 * u / width)[None]
        holes = slope * (random.random((1, height, width)) > 0.3)
        camera = np.array([[0.8 * width, 0.8 * width, (width - 1) / 2 + 0.3, (height - 1) / 2 - 0.2]], np.float32)
        for image, depth in ((waves, slope), (noise, holes), (waves, np.zeros_like(slope))):
            yield np.ascontiguousarray(image, np.float32), np.ascontiguousarray(depth, np.float32), camera
