# SPDX-License-Identifier: Apache-2.0
"""Exporting a graph into a models folder, where sessions find it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable
from pathlib import Path

from xover_core.errors import ModelError
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_install import install_export, make_exported
from xover_core.inference.onnx_export import DATA_SUFFIX, ExportReport, TracedGraph, export_graph
from xover_core.inference.session import Arrays


def export_into(
    folder: Path,
    graph: ModelGraph,
    *,
    precision: str = "fp32",
    calibration: Iterable[Arrays] | None = None,
    traced: TracedGraph | None = None,
) -> ExportReport:
    """Export a graph and write it into a models folder; nothing is written when its parity check fails.

    Args:
        folder: of models; made when missing.
        graph: to export.
        precision: one of `PRECISIONS`.
        calibration: as for `export_graph`.
        traced: as for `export_graph`.

    Raises:
        BackendUnavailableError: onnx or onnxscript is missing.
        ConfigError: an unknown precision, or a calibration for another one than int8.
        ModelError: as for `export_graph`, the network is too large for one file, or the folder cannot be written to.
    """
    with tempfile.TemporaryDirectory(prefix="xover-export-") as scratch:
        path = Path(scratch) / "graph.onnx"
        report = export_graph(graph, path, precision=precision, calibration=calibration, traced=traced)
        if path.with_name(path.name + DATA_SUFFIX).exists():
            raise ModelError(
                f"network {graph.name} in {precision}: {report.num_bytes / 1e9:.1f} GB, which one file of ONNX does not"
                " hold; install it in fp16, or write it elsewhere with --output."
            )
        onnx = path.read_bytes()
    exported = make_exported(graph.name, precision, onnx, graph.weights_sha256)
    install_export(folder, exported, onnx)
    return dataclasses.replace(report, path=folder / exported.file)
