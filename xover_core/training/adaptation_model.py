# SPDX-License-Identifier: Apache-2.0
"""From which model an adaptation starts, and how its result becomes a model that the manifest knows."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.compact_checkpoint import load_compact, save_compact
from xover_core.inference.compact_graph import KIND, make_compact_graph
from xover_core.inference.export_install import export_into
from xover_core.inference.model_install import install_model, make_entry
from xover_core.inference.model_store import ModelEntry, load_weights, model_entry
from xover_core.networks.compact_encoder import CompactEncoder
from xover_core.training.site_adaptation import AdaptationResult

_LOGGER = logging.getLogger(__name__)


def load_parent(name: str) -> tuple[ModelEntry, CompactEncoder]:
    """The model that an adaptation starts from.

    Raises:
        ModelError: unknown, damaged, or of a kind that has no heads.
    """
    entry = model_entry(name)
    if entry.kind != KIND:
        raise ModelError(
            f"model {name!r}: expected one of kind {KIND!r} to adapt, the manifest says {entry.kind!r}; name another."
        )
    return entry, load_compact(load_weights(name), where=entry.file)


def install_adapted(result: AdaptationResult, *, name: str, parent: ModelEntry, site: str, folder: Path) -> ModelEntry:
    """Write the adapted network as a model; it takes over licence and calibration of its parent.

    Args:
        result: of the adaptation.
        name: of the new model.
        parent: model that it started from.
        site: name of the recording.
        folder: of models.

    Raises:
        ModelError: the folder cannot be written to, or the export differs from the network.
    """
    with tempfile.TemporaryDirectory(prefix="xover-adapt-") as scratch:
        weights_file = Path(scratch) / "model.safetensors"
        save_compact(result.network, weights_file)
        weights = weights_file.read_bytes()
    entry = make_entry(
        name=name,
        kind=KIND,
        weights=weights,
        licence=parent.licence,
        source=_source(result, parent, site),
        radii=result.radii,
        like=parent,
    )
    graph = make_compact_graph(
        lambda: result.network,
        name=name,
        radii=result.radii,
        feature_dim=result.network.feature_dim,
        weights_sha256=entry.sha256,
    )
    try:
        export_into(folder, graph)
    except BackendUnavailableError as error:
        _LOGGER.warning("model %s: not exported, so it will run by torch; %s", name, error)
    install_model(folder, entry, weights)
    return entry


def _source(result: AdaptationResult, parent: ModelEntry, site: str) -> str:
    """Where the weights are from, and what they brought."""
    values = zip(result.radii, result.before, result.after, strict=True)
    gains = ", ".join(f"{radius:g} m {before:.3f} -> {after:.3f}" for radius, before, after in values)
    return (
        f"{parent.name} ({parent.sha256[:16]}), heads adapted to {site}; average precision on"
        f" {result.num_held_out} frames kept apart: {gains}"
    )
