# SPDX-License-Identifier: Apache-2.0
"""Put trained weights of the compact encoder into models/: the file, its ONNX export, and the manifest entry.

    python tools/ship_model.py runs/locus/best.safetensors --name locus-compact --source "trained on ..."

A calibration that the entry has stays; it belongs to the old weights, so fit it again with tools/fit_defaults.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from xover_core.inference.compact_checkpoint import load_compact
from xover_core.inference.compact_graph import make_compact_graph
from xover_core.inference.export_install import export_into
from xover_core.inference.model_install import install_model, make_entry
from xover_core.inference.model_store import model_entries

MODELS = Path(__file__).resolve().parent.parent / "models"
SOURCE = "compact LoCUS encoder trained on procedural apartments, by this project"


def main() -> None:
    """Export, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="safetensors file of a compact encoder")
    parser.add_argument("--name", default="locus-compact", help="of the model (default: %(default)s)")
    parser.add_argument("--source", default=SOURCE, help="who trained it on what (default: %(default)s)")
    parser.add_argument("--licence", default="Apache-2.0", help="SPDX identifier (default: %(default)s)")
    parser.add_argument("--calibration-like", metavar="NAME", help="model whose calibration a new entry starts with")
    args = parser.parse_args()
    network = load_compact(args.checkpoint)
    weights = args.checkpoint.read_bytes()
    entries = model_entries()
    like = entries.get(args.calibration_like) if args.calibration_like else entries.get(args.name)
    entry = make_entry(
        name=args.name,
        kind="compact",
        weights=weights,
        licence=args.licence,
        source=args.source,
        radii=network.radii,
        like=like,
    )
    graph = make_compact_graph(
        lambda: network,
        name=args.name,
        radii=network.radii,
        feature_dim=network.feature_dim,
        weights_sha256=entry.sha256,
    )
    report = export_into(MODELS, graph)
    install_model(MODELS, entry, weights)
    print(f"{args.name}: weights {len(weights) / 1e6:.2f} MB, ONNX {report.num_bytes / 1e6:.2f} MB")
    print(f"largest difference between ONNX Runtime and torch: {max(report.differences.values()):.1e}")


if __name__ == "__main__":
    main()
