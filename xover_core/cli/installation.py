# SPDX-License-Identifier: Apache-2.0
"""What `xover info` says of the place it runs in: libraries, GPUs, backends and models."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections import Counter
from collections.abc import Sequence, Set
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import xover_core
from xover_core.config import InferenceSettings
from xover_core.errors import BackendUnavailableError, XoverError

if TYPE_CHECKING:
    from xover_core.inference.available import BackendStatus
    from xover_core.inference.model_graph import ModelGraph
    from xover_core.inference.model_store import ModelEntry

Rows = list[tuple[str, str]]
"""What is told, and what is said of it; a title has nothing said of it."""

REQUIRED = ("numpy", "scipy", "cv2", "poselib", "yaml", "safetensors", "rosbags")
# module -> what is missing without it, and how to get it
OPTIONAL = {
    "onnxruntime": "models run by torch instead; pip install onnxruntime, or onnxruntime-gpu beside a GPU",
    "torch": "no demo, training or export, and models run by ONNX Runtime alone; pip install 'xover[torch]'",
    "faiss": "large maps are searched by matrix products, slower; pip install faiss-cpu",
    "openvino": "another runtime for CPUs; pip install 'xover[openvino]'",
    "tensorrt": "the fastest runtime on NVIDIA GPUs; pip install tensorrt, on a Jetson it comes with JetPack",
    "transformers": "no DINO or DINOv2 backbones; pip install 'xover[vit]'",
    "MinkowskiEngine": "sparse convolutions run by torch instead",
    "open3d": "not used by xover itself; for looking at meshes and clouds",
    "rclpy": "no nodes; source ROS 2, or make env",
}
# module -> what may provide it, where that has another name
DISTRIBUTIONS = {
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    "yaml": ("PyYAML",),
    "faiss": ("faiss-gpu", "faiss-gpu-cu12", "faiss-cpu"),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "open3d": ("open3d", "open3d-cpu"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
}
# kinds of models in the manifests -> what runs those that have no network of their own
_OTHER_RUNNERS = {
    "rootsift": "run by OpenCV and NumPy",
    "scene-inventory": "run by torch on cpu, as a part of the model that names it",
}
_DEVICES = {"light-crossover": "cpu"}  # its networks are too small for a GPU


def installation_rows() -> Rows:
    """Everything, in the order in which it is printed."""
    from xover_core.inference.available import available_backends

    backends = available_backends()
    return [*_place_rows(), *_library_rows(), *_device_rows(), *_backend_rows(backends), *_model_rows(backends)]


def _place_rows() -> Rows:
    """The version of xover, and what it runs in."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return [
        ("xover", f"{xover_core.__version__}, in {Path(xover_core.__file__).parent}"),
        ("python", f"{platform.python_version()}, {system}"),
    ]


def _library_rows() -> Rows:
    """Libraries with their versions; none is loaded but ONNX Runtime, which alone knows its providers."""
    rows = [("libraries", "")]
    rows += [(f"  {name}", _version(name) or "missing; pip install xover again") for name in REQUIRED]
    for name, without in OPTIONAL.items():
        found = _version(name)
        rows.append((f"  {name}", found + _more_of(name) if found else f"not installed: {without}"))
    return rows


def _version(module: str) -> str:
    """Version of what provides a module, and its name where that is another; empty where nothing does."""
    if importlib.util.find_spec(module) is None:
        return ""
    told = []
    for name in DISTRIBUTIONS.get(module, (module,)):
        try:
            told.append(metadata.version(name) + ("" if name == module else f" ({name})"))
        except metadata.PackageNotFoundError:
            continue
    return " and ".join(told) or "installed, of an unknown version"


def _more_of(module: str) -> str:
    """What a version alone does not tell of some libraries."""
    if module == "rclpy":
        return f", ROS 2 {os.environ.get('ROS_DISTRO', 'from wheels or not sourced')}"
    if module != "onnxruntime":
        return ""
    from xover_core.inference.libraries import load_library

    try:
        return f", {', '.join(load_library(module).get_available_providers())}"
    except BackendUnavailableError as error:
        return f", but {error}"


def _device_rows() -> Rows:
    """GPUs, as the driver tells."""
    from xover_core.inference.cuda_devices import find_cuda_devices

    devices = find_cuda_devices()
    if not devices:
        return [("GPU", "none that the NVIDIA driver shows")]
    return [
        (f"cuda:{one.index}", f"{one.name}, compute capability {'.'.join(map(str, one.compute_capability))}")
        for one in devices
    ]


def _backend_rows(backends: Sequence[BackendStatus]) -> Rows:
    """What can run networks here, and why the rest cannot."""
    rows = [("backends", "")]
    for one in backends:
        rows.append((f"  {one.name}", f"{one.version} {one.reason}" if one.available else f"no: {one.reason}"))
    return rows


def _model_rows(backends: Sequence[BackendStatus]) -> Rows:
    """Models of all manifests, whether their weights are there, and what would run them."""
    from xover_core.inference.model_store import load_weights, model_entries, model_folders

    available = {one.name for one in backends if one.available}
    rows = [("models", f"searched in {', '.join(map(str, model_folders()))}")]
    for name, entry in model_entries().items():
        try:
            size_mb = len(load_weights(name)) / 1e6
            found = f"{size_mb:.1f} MB, sha256 {entry.sha256[:16]} as in the manifest; {_runner(entry, available)}"
        except XoverError as error:
            found = f"no: {error}"
        rows.append((f"  {name}", found))
    return rows


def _runner(entry: ModelEntry, available: Set[str]) -> str:
    """What runs a model here at default settings, and why; of several networks, what runs how many of them."""
    from xover_core.inference.model_graphs import graphs_of

    if entry.kind in _OTHER_RUNNERS:
        return _OTHER_RUNNERS[entry.kind]
    device = _DEVICES.get(entry.kind, "auto")
    counts = Counter(_way_to_run(graph, device, available) for graph in graphs_of(entry.name))
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{number} parts {way}" for way, number in counts.items())


def _way_to_run(graph: ModelGraph, device: str, available: Set[str]) -> str:
    """The first way to run a network whose library and exported file are here."""
    from xover_core.inference.model_store import load_export
    from xover_core.inference.session_factory import ways_to_run

    for way in ways_to_run(graph, InferenceSettings(device=device)):
        has_network = way.backend.startswith("torch") or load_export(graph.name, way.precision) is not None
        if way.backend in available and has_network:
            return f"run by {way.backend} on {way.device} in {way.precision}: {way.reason}"
    return "cannot be run by anything here; pip install onnxruntime, or pip install 'xover[torch]'"
