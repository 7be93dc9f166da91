# SPDX-License-Identifier: Apache-2.0
"""torch behind `Session`: eager, compiled, in half precision, and recorded by a CUDA that is made up."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from session_cases import NAME, TOLERANCE, SmallNetwork, examples, inputs_of, reference, small_graph
from torch import nn

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.onnx_parity import check_parity
from xover_core.inference.torch_cuda_graphs import MAX_RECORDINGS, CudaGraphs
from xover_core.inference.torch_half import compute_in_half
from xover_core.inference.torch_session import TorchSession

# bfloat16 keeps 8 bits; sums of 12 products of numbers below 1.
HALF_TOLERANCE = 0.05


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_it_gives_what_the_network_gives_for_every_size():
    session = TorchSession(small_graph(), reason="a test")
    for inputs in examples():
        outputs = session.run(inputs)
        for name, expected in reference(inputs).items():
            np.testing.assert_allclose(outputs[name], expected, atol=TOLERANCE)
    assert (session.info.graph, session.info.backend, session.info.device) == (NAME, "torch", "cpu")
    assert session.info.library == f"torch {torch.__version__}"
    assert check_parity(small_graph(), session.run)["features"] == 0


def test_arrays_that_cannot_be_written_to_are_taken():
    inputs = inputs_of(1, 2, 2)
    for array in inputs.values():
        array.flags.writeable = False
    assert TorchSession(small_graph()).run(inputs)["mean"].shape == (1, 3)


def test_wrong_inputs_are_refused():
    with pytest.raises(ModelError, match="input scale"):
        TorchSession(small_graph()).run(inputs_of(1, 2, 2) | {"scale": np.ones(2, np.float32)})


def test_what_the_network_raises_is_named():
    class Failing(SmallNetwork):
        def forward(self, image, scale):
            raise ValueError("no\nway")

    session = TorchSession(small_graph(module=Failing))
    with pytest.raises(BackendUnavailableError, match=f"network '{NAME}': torch .* cannot run it, ValueError: no way"):
        session.run(inputs_of(1, 2, 2))


def test_compiled_runs_what_the_compiler_makes(monkeypatch):
    compiled = []

    def compile_it(module):
        compiled.append(module)
        return module

    monkeypatch.setattr(torch, "compile", compile_it)
    session = TorchSession(small_graph(), backend="torch-compiled")
    check_parity(small_graph(), session.run)
    assert session.info.backend == "torch-compiled"
    assert len(compiled) == 1


def test_threads_are_those_that_are_asked_for():
    try:
        TorchSession(small_graph(), num_threads=2)
        assert torch.get_num_threads() == 2
        TorchSession(small_graph())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_half_precision_is_near_and_gives_float32():
    session = TorchSession(small_graph(), precision="fp16")
    outputs = session.run(inputs_of(2, 3, 4))
    expected = reference(inputs_of(2, 3, 4))
    difference = np.abs(outputs["features"] - expected["features"]).max()
    assert TOLERANCE < difference < HALF_TOLERANCE
    assert outputs["features"].dtype == np.float32
    assert session.info.precision == "fp16"


def test_only_the_parts_that_bear_it_are_in_half_precision():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16))
    inputs = torch.rand(3, 16)
    exact = [network[0](inputs), network[1](inputs)]
    compute_in_half(network, ["1"], torch.device("cpu"))
    assert torch.equal(network[0](inputs), exact[0])
    assert not torch.equal(network[1](inputs), exact[1])
    assert network(inputs).dtype == torch.float32


def test_each_module_of_a_list_is_in_half_precision():
    torch.manual_seed(0)
    blocks = nn.ModuleList([nn.Linear(16, 16), nn.Linear(16, 16)])
    inputs = torch.rand(3, 16)
    exact = [block(inputs) for block in blocks]
    compute_in_half(nn.ModuleDict({"blocks": blocks}), ["blocks"], torch.device("cpu"))
    assert all(not torch.equal(block(inputs), before) for block, before in zip(blocks, exact, strict=True))


class Mixed(nn.Module):
    """Layers of all kinds, one within a module of torch that reads its weights, and norms."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 8))

    def forward(self, image):
        tokens = self.block(self.stem(image).flatten(2).transpose(1, 2))
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0])


@pytest.fixture
def mixed():
    torch.manual_seed(0)
    return Mixed().eval().requires_grad_(False)


def test_weights_are_rounded_once_and_give_what_rounding_them_each_time_gives(mixed):
    image = torch.rand(2, 3, 16, 12)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = mixed(image).float()
    compute_in_half(mixed, (), torch.device("cpu"))
    with torch.inference_mode():
        found = mixed(image)
    assert torch.equal(found, expected)
    rounded = {name for name, weight in mixed.named_parameters() if weight.dtype == torch.bfloat16}
    assert rounded == {f"{layer}.{kind}" for layer in ("stem", "head.1") for kind in ("weight", "bias")}


def test_a_layer_that_is_called_outside_of_its_part_gives_float32(mixed):
    tokens = torch.rand(5, 16)
    exact = mixed.head[1](tokens)
    compute_in_half(mixed, ("head",), torch.device("cpu"))
    found = mixed.head[1](tokens)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=HALF_TOLERANCE, rtol=0)
    assert mixed.stem.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "int8"}, "torch runs no int8 networks; set inference.backend to onnxruntime"),
        ({"backend": "torch-cuda-graphs"}, "torch-cuda-graphs needs a GPU; set inference.backend to torch"),
        ({"device": "cuda:0"}, "cannot use cuda:0; install a build of torch"),
    ],
)
def test_what_it_cannot_do_is_refused_with_what_to_do(changes, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendUnavailableError, match=message):
        TorchSession(small_graph(), **changes)


class FakeCuda:
    """What `CudaGraphs` uses of `torch.cuda`; replaying computes again, from and into the recorded tensors."""

    def __init__(self):
        self.recorded, self.replayed, self.recording = 0, 0, None
        self.is_current = False

    @contextmanager
    def device(self, device):
        self.is_current = True
        yield
        self.is_current = False

    def Stream(self, device):  # noqa: N802 - torch's name
        return SimpleNamespace(wait_stream=lambda other: None)

    def current_stream(self, device):
        return self.Stream(device)

    @contextmanager
    def stream(self, stream):
        yield

    def CUDAGraph(self):  # noqa: N802
        return FakeGraph(self)

    @contextmanager
    def graph(self, graph):
        assert self.is_current, "it would be recorded on another device"
        self.recording = graph
        yield
        self.recording = None
        self.recorded += 1


class FakeGraph:
    """A recording: the tensors of the one pass that was made while it was recorded."""

    def __init__(self, cuda):
        self.cuda, self.network, self.inputs, self.outputs = cuda, None, (), ()

    def replay(self):
        self.cuda.replayed += 1
        for kept, new in zip(self.outputs, self.network.compute(*self.inputs), strict=True):
            kept.copy_(new)


class RecordedNetwork(SmallNetwork):
    """Tells a recording what it reads and writes."""

    def __init__(self, cuda):
        super().__init__()
        self.cuda = cuda

    def compute(self, image, scale):
        return super().forward(image, scale)

    def forward(self, image, scale):
        outputs = self.compute(image, scale)
        if self.cuda.recording is not None:
            recording = self.cuda.recording
            recording.network, recording.inputs, recording.outputs = self, (image, scale), outputs
        return outputs


@pytest.fixture
def cuda():
    return FakeCuda()


@pytest.fixture
def graphs(cuda):
    return CudaGraphs(RecordedNetwork(cuda).eval(), torch.device("cpu"), cuda)


def run(graphs, inputs):
    outputs = graphs.run(tuple(torch.from_numpy(array) for array in inputs.values()))
    return dict(zip(("features", "mean"), (output.numpy() for output in outputs), strict=True))


def test_recordings_are_played_with_new_inputs(graphs, cuda):
    for seed in range(3):
        inputs = inputs_of(2, 3, 4, seed)
        for name, expected in reference(inputs).items():
            np.testing.assert_allclose(run(graphs, inputs)[name], expected, atol=TOLERANCE)
    assert (cuda.recorded, cuda.replayed) == (1, 6)


def test_what_was_given_is_not_written_to_by_the_next_pass(graphs):
    first = run(graphs, inputs_of(1, 2, 2, 1))
    run(graphs, inputs_of(1, 2, 2, 2))
    np.testing.assert_allclose(first["mean"], reference(inputs_of(1, 2, 2, 1))["mean"], atol=TOLERANCE)


def test_each_shape_has_its_recording_up_to_a_limit(graphs, cuda):
    for rows in range(1, MAX_RECORDINGS + 1):
        run(graphs, inputs_of(1, rows, 2))
    run(graphs, inputs_of(1, 1, 2))
    assert cuda.recorded == MAX_RECORDINGS
    run(graphs, inputs_of(1, MAX_RECORDINGS + 1, 2))  # takes the place of two rows, which were not used for longest
    run(graphs, inputs_of(1, 1, 2))
    assert cuda.recorded == MAX_RECORDINGS + 1
    run(graphs, inputs_of(1, 2, 2))
    assert cuda.recorded == MAX_RECORDINGS + 2
