# SPDX-License-Identifier: Apache-2.0
"""Settings -> what matches a query with keyframes and landmarks: the processor, or the GPU that encodes."""

from __future__ import annotations

import logging

from xover_core.config import MatchingSettings, XoverSettings
from xover_core.errors import BackendUnavailableError
from xover_core.inference.available import require_cuda_torch
from xover_core.inference.cuda_devices import CPU, find_cuda_devices, pick_device
from xover_core.localization.matching_products import FloatMatchingProducts, MatchingProducts, WholeMatchingProducts
from xover_core.localization.point_matcher import PointMatcher, ProcessorPointMatcher
from xover_core.localization.processor_matcher import ProcessorMatcher
from xover_core.localization.product_threads import ProductThreads
from xover_core.localization.side_by_side import threads_on_cpu
from xover_core.localization.view_matcher import ViewMatcher

_LOGGER = logging.getLogger(__name__)


def make_view_matcher(settings: XoverSettings) -> ViewMatcher:
    """Make the matcher for the keyframes of one map: on the GPU where networks run on one, else on the processor.

    Raises:
        BackendUnavailableError: `inference.device` names a GPU that is not there.
    """
    device = _find_gpu(settings)
    if device is None:
        return ProcessorMatcher(settings.matching, _make_threads(settings))
    from xover_core.localization.torch_view_matcher import TorchViewMatcher

    return TorchViewMatcher(settings.matching, device, settings.matching.device_cache_mb)


def make_point_matcher(settings: XoverSettings) -> PointMatcher:
    """Make the matcher for the landmarks of one map, where keyframes are matched.

    Raises:
        BackendUnavailableError: `inference.device` names a GPU that is not there.
    """
    device = _find_gpu(settings)
    if device is None:
        return ProcessorPointMatcher(settings.matching, _make_threads(settings))
    from xover_core.localization.torch_point_matcher import TorchPointMatcher

    return TorchPointMatcher(settings.matching, device, settings.matching.device_cache_mb)


def _find_gpu(settings: XoverSettings) -> str | None:
    """The GPU of the settings; None where they name none, or torch cannot use it."""
    devices = find_cuda_devices()
    device = pick_device(settings.inference.device, devices)
    if device == CPU:
        return None
    try:
        require_cuda_torch(devices)
    except BackendUnavailableError as error:
        _LOGGER.warning("patches are matched on the processor: %s", error)
        return None
    return device


def _make_threads(settings: XoverSettings) -> ProductThreads:
    """As many threads as a network gets."""
    return ProductThreads(_make_products(settings.matching), threads_on_cpu(settings.inference))


def _make_products(settings: MatchingSettings) -> MatchingProducts:
    """Whole numbers where they are wanted and ONNX Runtime is there to multiply them, else float32."""
    if settings.use_whole_numbers:
        try:
            return WholeMatchingProducts()
        except BackendUnavailableError as error:
            _LOGGER.info("patches are matched in float32, which takes three times as long: %s", error)
    return FloatMatchingProducts()
