# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime and torch run the shipped compact encoder alike; which one is taken, and what is said about it."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from xover_core.errors import ModelError
from xover_core.inference import compact_session
from xover_core.inference.compact_checkpoint import load_compact
from xover_core.inference.compact_session import (
    THREADS_VARIABLE,
    OnnxCompactSession,
    TorchCompactSession,
    make_compact_session,
)
from xover_core.inference.model_graphs import graphs_of
from xover_core.inference.model_store import load_export, load_weights

MODEL = "locus-compact"
# float32 norms of 128 numbers
NORM_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def exported():
    return load_export(MODEL, "fp32")


@pytest.fixture(scope="module")
def network():
    return load_compact(load_weights(MODEL))


def make_inputs(rows, cols):
    random = np.random.default_rng(rows)
    image = random.random((1, 3, 8 * rows, 8 * cols), dtype=np.float32)
    depth = random.uniform(0.5, 4.0, (1, 8 * rows, 8 * cols)).astype(np.float32)
    return image, depth, np.array([[90.0, 90.0, 4.0 * cols, 4.0 * rows]], np.float32)


@pytest.mark.parametrize("grid", [(4, 4), (9, 7), (12, 21)])
def test_frames_of_every_size_are_run(network, exported, grid):
    inputs = make_inputs(*grid)
    session = OnnxCompactSession(exported, num_threads=1)
    features = session.run(*inputs)
    assert session.radii == network.radii
    assert len(features) == len(session.radii)
    for a, b in zip(features, TorchCompactSession(network).run(*inputs), strict=True):
        assert a.shape == b.shape == (grid[0] * grid[1], session.descriptor_dim)
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=graphs_of(MODEL)[0].tolerance)
        assert np.linalg.norm(a, axis=1).max() < 1 + NORM_TOLERANCE


def test_what_is_no_export_is_refused():
    with pytest.raises(ModelError, match="cannot load it"):
        OnnxCompactSession(b"no model")


def test_onnx_runtime_is_taken_where_it_is():
    assert isinstance(make_compact_session(MODEL), OnnxCompactSession)


def test_without_onnx_runtime_torch_runs_it_and_says_so(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with caplog.at_level(logging.INFO, "xover_core"):
        session = make_compact_session(MODEL)
    assert isinstance(session, TorchCompactSession)
    assert session.descriptor_dim == 128
    assert [record.message for record in caplog.records] == [
        f"model '{MODEL}': run by torch, which is slower: ONNX Runtime is not installed (pip install onnxruntime)"
    ]


def test_without_an_export_torch_runs_it_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(compact_session, "load_export", lambda *_: None)
    with caplog.at_level(logging.INFO, "xover_core"):
        assert isinstance(make_compact_session(MODEL), TorchCompactSession)
    assert "no exported file" in caplog.text


def test_without_either_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "xover_core.inference.compact_checkpoint", None)
    with pytest.raises(ModelError, match=r"pip install onnxruntime, or pip install 'xover\[torch\]'"):
        make_compact_session(MODEL)


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("", 0), ("many", 0)])
def test_threads_are_those_of_the_environment(monkeypatch, text, number):
    monkeypatch.setenv(THREADS_VARIABLE, text)
    assert compact_session._threads_from_environment() == number
