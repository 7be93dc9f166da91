# SPDX-License-Identifier: Apache-2.0
"""Libraries that xover can do without: loaded late, and a sentence that says what to install where one is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from xover_core.errors import BackendUnavailableError

_INSTALL = {
    "onnx": "pip install 'xover[onnx]'",
    "onnxruntime": "pip install onnxruntime, or onnxruntime-gpu where there is an NVIDIA GPU",
    "openvino": "pip install 'xover[openvino]'",
    "tensorrt": "pip install tensorrt, of the CUDA version that is there; on a Jetson it comes with JetPack",
    "torch": "pip install 'xover[torch]'",
}


def load_library(name: str) -> ModuleType:
    """Import a library that may be missing.

    Args:
        name: of its module.

    Raises:
        BackendUnavailableError: not installed, or installed and broken; says what to do.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in (name, None):
            raise BackendUnavailableError(f"{name} is not installed; {_INSTALL[name]}.") from error
        raise BackendUnavailableError(
            f"{name} is installed, but {error.name}, which it needs, is not; {_INSTALL[name]} again."
        ) from error
    # a library that fits neither this machine nor its neighbours can fail in any way
    except Exception as error:
        raise BackendUnavailableError(
            f"{name} is installed but cannot be loaded, {one_line(error)}; {_INSTALL[name]} again."
        ) from error


def one_line(error: BaseException) -> str:
    """What a library says of an error, without line breaks."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
