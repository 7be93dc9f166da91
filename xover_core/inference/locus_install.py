# SPDX-License-Identifier: Apache-2.0
"""A frozen transformer with LoCUS heads as a model that the manifest knows."""

from __future__ import annotations

import tempfile
from pathlib import Path

from xover_core.inference.locus_checkpoint import save_locus
from xover_core.inference.locus_graph import KIND
from xover_core.inference.model_install import install_model, make_entry
from xover_core.inference.model_store import ModelEntry
from xover_core.networks.multi_radius_encoder import MultiRadiusEncoderNetwork


def install_locus(
    network: MultiRadiusEncoderNetwork,
    *,
    name: str,
    folder: Path,
    licence: str,
    source: str,
    like: ModelEntry,
) -> ModelEntry:
    """Write a network with a `VitBackbone` as a model.

    Args:
        network: backbone and heads.
        name: of the model.
        folder: of models.
        licence: SPDX expression.
        source: who trained it on what.
        like: a model whose calibration is taken over.

    Raises:
        ModelError: another backbone, or the folder cannot be written to.
    """
    with tempfile.TemporaryDirectory(prefix="xover-install-") as scratch:
        file = Path(scratch) / "model.safetensors"
        save_locus(network, file)
        weights = file.read_bytes()
    entry = make_entry(
        name=name, kind=KIND, weights=weights, licence=licence, source=source, radii=network.radii, like=like
    )
    install_model(folder, entry, weights)
    return entry
