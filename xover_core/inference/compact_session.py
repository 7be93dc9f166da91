# SPDX-License-Identifier: Apache-2.0
"""Running the compact encoder: by ONNX Runtime, or by torch where that is what there is, behind one protocol."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Protocol

import numpy as np

from xover_core.errors import ModelError
from xover_core.inference.model_store import load_export, load_weights
from xover_core.types import Float32Array

if TYPE_CHECKING:
    from xover_core.networks.compact_encoder import CompactEncoder

THREADS_VARIABLE = "OMP_NUM_THREADS"
# Outputs of the exported graph are called `features_0.2m`: the radius stands in between.
OUTPUT_PREFIX, OUTPUT_SUFFIX = "features_", "m"
INPUT_NAMES = ("image", "depth", "intrinsics")

_LOGGER = logging.getLogger(__name__)


class CompactSession(Protocol):
    """One frame -> features of all patches."""

    @property
    def radii(self) -> tuple[float, ...]:
        """Metres, one for each set of features."""
        ...

    @property
    def descriptor_dim(self) -> int:
        """D."""
        ...

    def run(self, image: Float32Array, depth: Float32Array, intrinsics: Float32Array) -> tuple[Float32Array, ...]:
        """Describe all patches of a frame.

        Args:
            image: (1, 3, H, W) RGB in [0, 1], sides multiples of 8.
            depth: (1, H, W) metres, 0 without reading.
            intrinsics: (1, 4) fx, fy, cx, cy, px.

        Returns:
            For each radius (N, D) float32 of L2 norm at most 1, patches row by row.
        """
        ...


class OnnxCompactSession:
    """Implements `CompactSession` by ONNX Runtime on the CPU."""

    def __init__(self, model: bytes, num_threads: int | None = None) -> None:
        """Load an exported model.

        Args:
            model: contents of an exported file.
            num_threads: for one frame; when not given, $OMP_NUM_THREADS, else one for each core.

        Raises:
            ModelError: not such a model.
            ImportError: ONNX Runtime is not installed.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads_from_environment() if num_threads is None else num_threads
        # waiting threads that spin cost two thirds more processor time, and slow down whatever runs beside
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors; warnings are about how it optimizes its own graph
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            outputs = self._session.get_outputs()
            names = [output.name for output in outputs]
            self._radii = tuple(float(n.removeprefix(OUTPUT_PREFIX).removesuffix(OUTPUT_SUFFIX)) for n in names)
            self._descriptor_dim = int(outputs[0].shape[-1])
        # its errors have no root of their own but RuntimeError, and some derive from Exception alone
        except Exception as error:
            raise ModelError(
                f"exported compact encoder of {len(model)} bytes: ONNX Runtime {onnxruntime.__version__} cannot load"
                f" it, {type(error).__name__}: {' '.join(str(error).split())}; export it again."
            ) from error

    @property
    def radii(self) -> tuple[float, ...]:
        """See `CompactSession.radii`."""
        return self._radii

    @property
    def descriptor_dim(self) -> int:
        """See `CompactSession.descriptor_dim`."""
        return self._descriptor_dim

    def run(self, image: Float32Array, depth: Float32Array, intrinsics: Float32Array) -> tuple[Float32Array, ...]:
        """See `CompactSession.run`."""
        inputs = dict(zip(INPUT_NAMES, (image, depth, intrinsics), strict=True))
        return tuple(np.asarray(features[0], np.float32) for features in self._session.run(None, inputs))


class TorchCompactSession:
    """Implements `CompactSession` by torch on the CPU."""

    def __init__(self, network: CompactEncoder) -> None:
        """Take a network in evaluation mode."""
        self._network = network

    @property
    def radii(self) -> tuple[float, ...]:
        """See `CompactSession.radii`."""
        return self._network.radii

    @property
    def descriptor_dim(self) -> int:
        """See `CompactSession.descriptor_dim`."""
        return self._network.feature_dim

    def run(self, image: Float32Array, depth: Float32Array, intrinsics: Float32Array) -> tuple[Float32Array, ...]:
        """See `CompactSession.run`."""
        import torch

        with torch.inference_mode():
            features = self._network(*(torch.from_numpy(array) for array in (image, depth, intrinsics)))
        return tuple(np.asarray(one[0].flatten(0, 1).numpy(), np.float32) for one in features)


def make_compact_session(name: str) -> CompactSession:
    """What runs a model here: ONNX Runtime where it is installed and the model has been exported, else torch.

    Raises:
        ModelError: unknown model, missing or damaged weights, or neither library is installed.
    """
    exported = load_export(name, "fp32")
    reason = "it has no exported file here"
    if exported is not None:
        try:
            return OnnxCompactSession(exported)
        except ImportError:
            reason = "ONNX Runtime is not installed (pip install onnxruntime)"
    try:
        from xover_core.inference.compact_checkpoint import load_compact
    except ImportError as error:
        raise ModelError(
            f"model {name!r}: {reason}, and torch is not installed either; pip install onnxruntime, or"
            " pip install 'xover[torch]'."
        ) from error
    _LOGGER.info("model %r: run by torch, which is slower: %s", name, reason)
    return TorchCompactSession(load_compact(load_weights(name), name))


def _threads_from_environment() -> int:
    """$OMP_NUM_THREADS, which torch and others keep to; 0, which is one for each core, without a number there."""
    text = os.environ.get(THREADS_VARIABLE, "")
    return int(text) if text.isdecimal() else 0
