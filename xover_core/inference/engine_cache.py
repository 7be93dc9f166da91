# SPDX-License-Identifier: Apache-2.0
"""Engines of TensorRT on disk: each runs on the GPU and by the TensorRT that it was built with, and nowhere else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from xover_core.inference.cuda_devices import CudaDevice
from xover_core.inference.engine_axes import Profile

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKey:
    """All that an engine depends on.

    Attributes:
        graph: name of the network.
        content_sha256: of its weights, its exported file, precision and profile.
        gpu: name of the GPU.
        compute_capability: of the GPU, such as `8.9`.
        tensorrt: its version.
    """

    graph: str
    content_sha256: str
    gpu: str
    compute_capability: str
    tensorrt: str

    @property
    def stem(self) -> str:
        """Name of its files; whatever else it depends on stands beside it."""
        parts = self.graph, self.content_sha256[:16], self.gpu, f"sm{self.compute_capability}", f"trt{self.tensorrt}"
        return re.sub(r"[^\w.-]+", "-", "-".join(parts))


def make_engine_key(
    *,
    graph: str,
    weights_sha256: str,
    model: bytes,
    precision: str,
    profile: Profile,
    gpu: CudaDevice,
    tensorrt: str,
) -> EngineKey:
    """The key of an engine.

    Args:
        graph: name of the network.
        weights_sha256: of the file that the network's weights come from.
        model: contents of the exported file that the engine is built from.
        precision: that it computes in.
        profile: lengths that it is built for.
        gpu: that it is built on.
        tensorrt: version of TensorRT.
    """
    axes = [dataclasses.astuple(axis) for axis in profile]
    parts = [weights_sha256, hashlib.sha256(model).hexdigest(), precision, axes]
    return EngineKey(
        graph=graph,
        content_sha256=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        gpu=gpu.name,
        compute_capability=".".join(map(str, gpu.compute_capability)),
        tensorrt=tensorrt,
    )


class EngineCache:
    """Keeps engines as pairs of files: `STEM.engine`, and `STEM.json` that says what it is and what its checksum is."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when something is written."""
        self._folder = folder

    def load(self, key: EngineKey) -> bytes | None:
        """The engine of a key; None where there is none, or one that is foreign, stale or damaged, which it says."""
        engine, sidecar = self._paths(key)
        try:
            told = json.loads(sidecar.read_text(encoding="utf-8"))
            data = engine.read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _tell_refused(engine, f"it cannot be read, {type(error).__name__}: {error}")
            return None
        expected = dataclasses.asdict(key)
        wrong = [name for name in expected if not isinstance(told, dict) or told.get(name) != expected[name]]
        if wrong:
            _tell_refused(engine, f"it was built for another {', '.join(wrong)}")
            return None
        if hashlib.sha256(data).hexdigest() != told.get("engine_sha256"):
            _tell_refused(engine, "it is damaged, its checksum is another one")
            return None
        return data

    def store(self, key: EngineKey, data: bytes) -> None:
        """Write an engine; where the folder cannot be written, warns, and it is built again next time."""
        engine, sidecar = self._paths(key)
        told = dataclasses.asdict(key) | {"engine_sha256": hashlib.sha256(data).hexdigest(), "num_bytes": len(data)}
        # one after the other: between them the checksum does not fit, and the engine is not loaded
        if self._write(engine, data):
            self._write(sidecar, (json.dumps(told, indent=2) + "\n").encode())

    def load_timings(self, gpu: CudaDevice, tensorrt: str) -> bytes:
        """What building measured of kernels so far, which spares measuring them again; nothing where there is none."""
        try:
            return self._timings(gpu, tensorrt).read_bytes()
        except OSError:
            return b""

    def store_timings(self, gpu: CudaDevice, tensorrt: str, data: bytes) -> None:
        """Keep what building measured."""
        self._write(self._timings(gpu, tensorrt), data)

    def _paths(self, key: EngineKey) -> tuple[Path, Path]:
        return self._folder / f"{key.stem}.engine", self._folder / f"{key.stem}.json"

    def _timings(self, gpu: CudaDevice, tensorrt: str) -> Path:
        name = re.sub(r"[^\w.-]+", "-", f"{gpu.name}-trt{tensorrt}")
        return self._folder / f"{name}.timings"

    def _write(self, path: Path, data: bytes) -> bool:
        """Replace a file at once or not at all; False where that fails."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=f"{path.stem}-", delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(file.name, path)
                except OSError:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            _LOGGER.warning(
                "%s cannot be written (%s), and is made again next time; see inference.cache_folder", path, error
            )
            return False
        return True


def _tell_refused(engine: Path, reason: str) -> None:
    _LOGGER.warning("engine %s is built again: %s", engine, reason)
