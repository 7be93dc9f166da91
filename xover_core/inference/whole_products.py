# SPDX-License-Identifier: Apache-2.0
"""Products of matrices of whole numbers from -127 to 127: a quarter of the time of float32 on today's processors.

NumPy has no fast product of them, ONNX Runtime has. It wants an ONNX file, whose one operation is written here by hand:
the library `onnx` is not needed to run xover.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xover_core.inference.libraries import load_library

LARGEST_LEFT = 127
LARGEST_RIGHT = 63
"""Processors without VNNI add two products in 16 bits: 255 * 63 * 2 fits in there, 255 * 127 * 2 does not."""
ZERO = 128
"""What stands for 0 in the left matrix, whose numbers have no sign: ONNX Runtime is slow where both have one."""

_LEFT, _RIGHT, _ZERO, _PRODUCT = "left", "right", "zero", "product"
_UINT8, _INT8, _INT32 = 2, 3, 6
# The oldest versions of format and operators that know this operation, which old libraries can read too.
_IR_VERSION, _OPSET = 5, 10


class WholeProducts:
    """Multiplies on one thread; several threads may call it at once."""

    def __init__(self) -> None:
        """Make the session.

        Raises:
            BackendUnavailableError: ONNX Runtime is missing or broken.
        """
        runtime = load_library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = runtime.InferenceSession(product_model(), options, providers=["CPUExecutionProvider"])

    def multiply(self, left: NDArray[np.uint8], right: NDArray[np.int8], out: NDArray[np.int32]) -> None:
        """Write `(left - 128) @ right` to `out`.

        Args:
            left: (N, D), C-contiguous, as `to_left` gives it.
            right: (D, M), C-contiguous, as `to_right` gives it.
            out: (N, M), C-contiguous.
        """
        binding = self._session.io_binding()
        binding.bind_cpu_input(_LEFT, left)
        binding.bind_cpu_input(_RIGHT, right)
        binding.bind_output(_PRODUCT, "cpu", 0, np.int32, out.shape, out.ctypes.data)
        self._session.run_with_iobinding(binding)


def to_left(rows: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, D) whole numbers for (N, D), all scaled alike, so that the largest becomes 127; `ZERO` stands for 0."""
    return np.asarray(np.rint(rows * _scale(rows, LARGEST_LEFT)) + ZERO, np.uint8)


def to_right(rows: NDArray[np.float32]) -> NDArray[np.int8]:
    """(D, N) whole numbers for (N, D), all scaled alike, so that the largest becomes 63."""
    return np.ascontiguousarray(np.rint(rows.T * _scale(rows, LARGEST_RIGHT)), np.int8)


def _scale(rows: NDArray[np.float32], largest: int) -> float:
    """What all numbers are to be multiplied with; 0 when all are 0."""
    reach = float(np.abs(rows).max(initial=0))
    return largest / reach if reach > 0 else 0.0


def product_model() -> bytes:
    """An ONNX file with one `MatMulInteger`, of matrices of any size.

    Protocol buffers: a message is a row of fields, each a key (number and kind) and a number or bytes after their
    length. The numbers are those of onnx.proto; all are below 128, and take one byte.
    """
    zero = _number(2, _UINT8) + _bytes(8, _ZERO) + _bytes(9, bytes([ZERO]))
    node = _bytes(1, _LEFT) + _bytes(1, _RIGHT) + _bytes(1, _ZERO) + _bytes(2, _PRODUCT) + _bytes(4, "MatMulInteger")
    values = ((11, _LEFT, _UINT8, "n", "d"), (11, _RIGHT, _INT8, "d", "m"), (12, _PRODUCT, _INT32, "n", "m"))
    graph = _bytes(1, node) + _bytes(2, "products") + _bytes(5, zero)
    graph += b"".join(_bytes(field, _matrix(*value)) for field, *value in values)
    return _number(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _number(2, _OPSET))


def _matrix(name: Any, type_number: Any, rows: Any, cols: Any) -> bytes:
    """A `ValueInfoProto`: name, type and the names of both axes."""
    shape = b"".join(_bytes(1, _bytes(2, axis)) for axis in (rows, cols))
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, type_number) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    """A field that is a number."""
    return bytes([field << 3, value])


def _bytes(field: int, contents: bytes | str) -> bytes:
    """A field that is a text or a message, of up to 16383 bytes."""
    data = contents.encode() if isinstance(contents, str) else contents
    length = [len(data)] if len(data) < 0x80 else [len(data) & 0x7F | 0x80, len(data) >> 7]
    return bytes([field << 3 | 2, *length]) + data
