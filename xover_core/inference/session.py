# SPDX-License-Identifier: Apache-2.0
"""Running a network by whatever library is the fastest here: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

BACKENDS = ("torch", "torch-compiled", "torch-cuda-graphs", "onnxruntime", "openvino", "tensorrt")
"""What can run a network; `auto` in the settings picks one of them."""
PRECISIONS = ("fp32", "fp16", "int8")
"""In which numbers a network computes; its inputs and outputs are float32 in all of them."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a network.

    Attributes:
        name: the same in every backend.
        dtype: of NumPy, such as `float32`.
        shape: the length of each axis; a name for an axis whose length may change, the same name for the same length,
            `8*rows` for a multiple of it, and `rows*cols`, in outputs only, for a product.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """What runs a network, for logs, reports and benchmarks.

    Attributes:
        graph: name of the network.
        backend: one of `BACKENDS`.
        precision: one of `PRECISIONS`.
        device: `cpu`, or `cuda:0` and so on.
        library: with its version, such as `onnxruntime 1.31.1`.
        reason: why this backend, in one sentence.
    """

    graph: str
    backend: str
    precision: str
    device: str
    library: str
    reason: str


class Session(Protocol):
    """A network that is loaded and ready. Not thread-safe."""

    @property
    def info(self) -> SessionInfo:
        """What runs it."""
        ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `run` expects, in order."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives, in order."""
        ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Compute all outputs.

        Args:
            inputs: one array for each of `inputs`, C-contiguous, of its type.

        Returns:
            One array for each of `outputs`; they are the caller's and are not written to again.

        Raises:
            ModelError: names, types or shapes are not those of `inputs`.
        """
        ...
