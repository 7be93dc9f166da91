# SPDX-License-Identifier: Apache-2.0
"""OpenVINO behind `Session`: fixed shapes, full float32, compiled networks that are kept."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from session_cases import TOLERANCE, examples, inputs_of, reference, small_graph, small_model

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.openvino_session import MAX_COMPILED, OpenVinoSession


@pytest.fixture
def session():
    return OpenVinoSession(small_graph(), small_model(), num_threads=1, reason="a test")


def test_it_gives_what_the_network_gives_for_every_size(session):
    for inputs in (*examples(), *examples()):
        outputs = session.run(inputs)
        assert list(outputs) == ["features", "mean"]
        for name, expected in reference(inputs).items():
            np.testing.assert_allclose(outputs[name], expected, atol=TOLERANCE)
    assert (session.info.backend, session.info.device, session.info.precision) == ("openvino", "cpu", "fp32")
    assert session.info.library.startswith("openvino 20")
    assert "-" not in session.info.library


def test_outputs_are_the_callers(session):
    first = session.run(inputs_of(1, 2, 2, 1))
    session.run(inputs_of(1, 2, 2, 2))
    np.testing.assert_allclose(first["mean"], reference(inputs_of(1, 2, 2, 1))["mean"], atol=TOLERANCE)


def test_more_shapes_than_are_kept_are_run(session):
    for rows in (*range(1, MAX_COMPILED + 2), 1):
        inputs = inputs_of(1, rows, 2)
        np.testing.assert_allclose(session.run(inputs)["mean"], reference(inputs)["mean"], atol=TOLERANCE)


def test_it_asks_for_float32_which_a_cpu_with_bfloat16_would_not_take(session):
    session.run(inputs_of(1, 2, 2))
    compiled = session._compiled.get((("batch", 1), ("cols", 2), ("rows", 2))).get_compiled_model()
    assert str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string()) == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_what_it_compiled_is_kept(tmp_path):
    kept = OpenVinoSession(small_graph(), small_model(), num_threads=1, cache_folder=tmp_path / "openvino")
    kept.run(inputs_of(1, 2, 2))
    assert list((tmp_path / "openvino").iterdir())


def test_wrong_inputs_are_refused(session):
    with pytest.raises(ModelError, match="input scale"):
        session.run(inputs_of(1, 2, 2) | {"scale": np.ones(2, np.float32)})


def test_what_is_no_model_is_refused():
    with pytest.raises(ModelError, match="export it again"):
        OpenVinoSession(small_graph(), b"no model")
    with pytest.raises(ModelError, match=r"expected outputs \['features', 'mean'\], it has \[\]"):
        OpenVinoSession(small_graph(), onnx.ModelProto(graph=onnx.GraphProto(name="empty")).SerializeToString())


def test_what_it_cannot_run_is_named():
    model = onnx.load_from_string(small_model())
    next(node for node in model.graph.node if "features" in node.output).op_type = "Unheard"
    with pytest.raises((ModelError, BackendUnavailableError), match="openvino 20"):
        OpenVinoSession(small_graph(), model.SerializeToString(), num_threads=1).run(inputs_of(1, 2, 2))


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailableError, match=r"openvino is not installed; pip install 'xover\[openvino\]'"):
        OpenVinoSession(small_graph(), small_model())
