# SPDX-License-Identifier: Apache-2.0
"""Where networks run that torch alone can run."""

from __future__ import annotations

from xover_core.config import InferenceSettings
from xover_core.errors import BackendUnavailableError
from xover_core.inference.available import require_cuda_torch
from xover_core.inference.cuda_devices import CPU, find_cuda_devices, pick_device


def torch_device(settings: InferenceSettings) -> str:
    """The device of the settings, as torch calls it; where they leave it open, a GPU only if torch can use it.

    Raises:
        BackendUnavailableError: a GPU is named that is not there, or that torch cannot use.
    """
    devices = find_cuda_devices()
    device = pick_device(settings.device, devices)
    if device == CPU:
        return CPU
    try:
        require_cuda_torch(devices)
    except BackendUnavailableError:
        if settings.device != "auto":
            raise
        return CPU
    return device
