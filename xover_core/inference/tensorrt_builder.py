# SPDX-License-Identifier: Apache-2.0
"""An exported file -> an engine of TensorRT, on the GPU that will run it.

Networks are strongly typed: the file says which numbers each operation computes in, and TensorRT follows it. It knows
nothing else from version 11 on, and version 10 is told so; half precision comes by a file in it, never by a flag.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xover_core.errors import BackendUnavailableError
from xover_core.inference.engine_axes import Profile, profile_shapes
from xover_core.inference.model_graph import ModelGraph

MIN_VERSION = 10
_PROGRESS_S = 30.0

_LOGGER = logging.getLogger(__name__)


def build_engine(
    trt: Any, graph: ModelGraph, model: bytes, profile: Profile, *, precision: str, timings: bytes
) -> tuple[bytes, bytes]:
    """Build an engine; takes minutes, and says so.

    Args:
        trt: the module tensorrt.
        graph: that the file was exported of.
        model: contents of the file.
        profile: lengths that the engine shall take.
        precision: of the file.
        timings: what was measured of kernels before; empty for nothing.

    Returns:
        The engine, and what is measured of kernels now.

    Raises:
        BackendUnavailableError: TensorRT is too old, or does not take the file.
    """
    require_version(trt)
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        errors = "; ".join(str(parser.get_error(index).desc()) for index in range(parser.num_errors))
        raise BackendUnavailableError(
            f"network {graph.name!r}: TensorRT {trt.__version__} cannot read its exported file in {precision},"
            f" {errors}."
        )
    config = builder.create_builder_config()
    # float32 shall be float32: with TensorFloat-32 products have 10 bits
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_timing_cache(config.create_timing_cache(timings), ignore_mismatch=False)
    config.add_optimization_profile(_make_profile(builder, graph, profile))
    with _progress(f"{graph.name} in {precision}"):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendUnavailableError(
            f"network {graph.name!r}: TensorRT {trt.__version__} cannot build an engine in {precision}; what it says"
            " stands above."
        )
    return bytes(plan), bytes(config.get_timing_cache().serialize())


def require_version(trt: Any) -> None:
    """Raise BackendUnavailableError for a TensorRT that knows no strongly typed networks."""
    if int(str(trt.__version__).split(".")[0]) < MIN_VERSION:
        raise BackendUnavailableError(
            f"TensorRT {trt.__version__} is too old, {MIN_VERSION}.0 or newer is needed; on a Jetson it comes with"
            " JetPack 6.1."
        )


def _make_profile(builder: Any, graph: ModelGraph, profile: Profile) -> Any:
    """What TensorRT calls an optimization profile."""
    made = builder.create_optimization_profile()
    least, usual, most = profile_shapes(graph, profile)
    for spec in graph.inputs:
        made.set_shape(spec.name, least[spec.name], usual[spec.name], most[spec.name])
    return made


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Say that something is built, every half a minute that it still is, and when it is done."""
    start, is_done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not is_done.wait(_PROGRESS_S):
            _LOGGER.warning("still building the engine of %s, %.0f s", what, time.monotonic() - start)

    # as warnings: without them a program seems to hang
    _LOGGER.warning("building the engine of %s on this GPU; takes minutes, once", what)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_done.set()
        teller.join()
    _LOGGER.warning("the engine of %s is built, %.0f s", what, time.monotonic() - start)
