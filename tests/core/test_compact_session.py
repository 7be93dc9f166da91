# SPDX-License-Identifier: Apache-2.0
"""The shipped compact encoder on one frame: backends alike, the radii that are wanted, what is said without them."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch

from xover_core.config import InferenceSettings
from xover_core.errors import BackendUnavailableError
from xover_core.inference import first_that_works
from xover_core.inference.compact_checkpoint import load_compact
from xover_core.inference.compact_graph import compact_graph_of
from xover_core.inference.compact_session import make_compact_session
from xover_core.inference.model_store import load_weights
from xover_core.inference.onnx_parity import check_parity
from xover_core.inference.session_factory import make_session

MODEL = "locus-compact"
RADII = (0.05, 0.2, 0.6, 2.0)
# float32 norms of 128 numbers
NORM_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    return load_compact(load_weights(MODEL))


@pytest.fixture(autouse=True)
def fresh_log():
    """What was said once in this process can be said again."""
    first_that_works._tell.cache_clear()


def make_inputs(rows, cols):
    random = np.random.default_rng(rows)
    image = random.random((1, 3, 8 * rows, 8 * cols), dtype=np.float32)
    depth = random.uniform(0.5, 4.0, (1, 8 * rows, 8 * cols)).astype(np.float32)
    return image, depth, np.array([[90.0, 90.0, 4.0 * cols, 4.0 * rows]], np.float32)


def settings_for(backend):
    return InferenceSettings(backend=backend, device="cpu", num_threads=1)


@pytest.mark.parametrize("grid", [(4, 4), (9, 7)])
@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_frames_of_every_size_are_described_alike(network, backend, grid, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    inputs = make_inputs(*grid)
    session = make_compact_session(MODEL, settings_for(backend))
    features = session.run(*inputs)
    assert session.radii == RADII == network.radii
    assert session.descriptor_dim == 128
    with torch.inference_mode():
        expected = network(*(torch.from_numpy(array) for array in inputs))
    for found, right in zip(features, expected, strict=True):
        assert found.shape == (grid[0] * grid[1], 128)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, right[0].flatten(0, 1).numpy(), atol=compact_graph_of(MODEL).tolerance)
        assert np.linalg.norm(found, axis=1).max() < 1 + NORM_TOLERANCE


def test_the_shipped_export_is_of_the_shipped_weights():
    graph = compact_graph_of(MODEL)
    check_parity(graph, make_session(graph, settings_for("onnxruntime")).run)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_only_the_radii_that_are_wanted_are_given(backend):
    inputs = make_inputs(5, 6)
    every = make_compact_session(MODEL, settings_for(backend)).run(*inputs)
    session = make_compact_session(MODEL, settings_for(backend), radii=(2.5, 0.19))
    assert session.radii == (0.2, 2.0)
    assert session.descriptor_dim == 128
    some = session.run(*inputs)
    for found, place in zip(some, (1, 3), strict=True):
        np.testing.assert_allclose(found, every[place], atol=compact_graph_of(MODEL).tolerance)


def test_onnx_runtime_is_taken_where_it_is(caplog):
    with caplog.at_level(logging.INFO, "xover_core"):
        session = make_compact_session(MODEL, InferenceSettings(device="cpu"))
    assert session.info.backend == "onnxruntime"
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "run by onnxruntime" in caplog.text
    assert "the fastest that is here for the CPU" in caplog.text


@pytest.mark.parametrize(("missing", "next_best"), [((), "openvino"), (("openvino",), "torch")])
def test_without_onnx_runtime_the_next_best_runs_it_and_says_so(monkeypatch, caplog, missing, next_best):
    for library in ("onnxruntime", *missing):
        monkeypatch.setitem(sys.modules, library, None)
    session = make_compact_session(MODEL, InferenceSettings(device="cpu"))
    assert session.info.backend == next_best
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"run by {next_best}" in caplog.text
    assert "onnxruntime is not installed; pip install onnxruntime" in caplog.text


def test_without_any_it_says_what_to_install(monkeypatch):
    for library in ("onnxruntime", "openvino", "torch"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BackendUnavailableError, match=r"nothing here can run it: onnxruntime .*xover\[torch\]'"):
        make_compact_session(MODEL, InferenceSettings(device="cpu"))
