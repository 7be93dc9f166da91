# SPDX-License-Identifier: Apache-2.0
"""Put trained weights of the light CrossOver into models/: the file, the manifest entry, and its scene calibration.

    python tools/ship_scene_model.py runs/unified/best.safetensors --scans data/rooms-calibration

The scans (`xover scenes --rooms`) must be of rooms that were not trained on. From them small maps are put together, and
single views and texts are asked for in them, a share of which is of none of the map's scenes; the calibration makes the
right answers as probable as possible (`localization/scene_calibration.py`).

`--inventory` adds what is in a scene to all embeddings: weights of `xover train inventory`. The dimensions that it
needs are taken from those in which the embeddings of these scans hardly differ.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from xover_core.datasets.scan_folder import ScanFolder
from xover_core.encoders.light_scene_encoder import VIEW_BACKBONE, LightSceneEncoder
from xover_core.encoders.view_tokens import ViewTokenizer
from xover_core.evaluation.protocols.scene_embeddings import SENTENCE_COUNTS, embed_scans, embed_single_views
from xover_core.evaluation.protocols.scene_protocol_settings import SceneProtocolSettings
from xover_core.evaluation.protocols.scene_table import EmbeddedScan, NamedSceneEncoder, SceneTable
from xover_core.inference.compact_session import make_compact_session
from xover_core.inference.inventory_checkpoint import inventory_traits, load_inventory, save_inventory
from xover_core.inference.inventory_session import InventorySession
from xover_core.inference.light_checkpoint import load_light
from xover_core.inference.light_session import light_session_of
from xover_core.inference.model_install import install_model, make_entry
from xover_core.localization.scene_calibration import fit_scene_calibration
from xover_core.localization.scene_means import NUM_BEST_VIEWS
from xover_core.types import Float32Array, Float64Array, SceneModality

MODELS = Path(__file__).resolve().parent.parent / "models"
SOURCE = "light CrossOver trained on procedural rooms, by this project"
MAP_SIZE = 6
UNKNOWN_PRIOR = 0.2
MAX_VIEWS = 3
# Temperature from which on similarities make no difference.
SAYS_NOTHING = 99.0
MAP_VIEWS = 10
STORED = (SceneModality.IMAGE, SceneModality.POINT_CLOUD, SceneModality.FLOORPLAN, SceneModality.TEXT)
# How much an inventory weighs beside all that is learned, of scenes and of texts, which have no colours and no layout.
INVENTORY_WEIGHTS = (1.0, 3.0)
BASIS_PLACES = 24
INVENTORY_KIND = "scene-inventory"
INVENTORY_SOURCE = "recognition of things in procedural rooms, by this project"
ASKED = tuple(SceneModality(name) for name in ("image", "text", "floorplan", "point_cloud"))


def main() -> None:
    """Fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="safetensors file of a light CrossOver")
    parser.add_argument("--scans", type=Path, required=True, help="rooms that were not trained on, with rescans")
    parser.add_argument("--inventory", type=Path, help="safetensors file of `xover train inventory`")
    parser.add_argument("--name", default="crossover-light", help="of the model (default: %(default)s)")
    parser.add_argument("--source", default=SOURCE, help="who trained it on what (default: %(default)s)")
    parser.add_argument("--licence", default="Apache-2.0", help="SPDX identifier (default: %(default)s)")
    args = parser.parse_args()
    weights = args.checkpoint.read_bytes()
    encoder = make_encoder(args.name, weights, None)
    inventory_name = ""
    if args.inventory:
        inventory_name = f"{args.name}-inventory"
        fitted = fit_basis(encoder, args.scans, args.inventory.read_bytes())
        install_inventory(inventory_name, fitted, args.licence)
        encoder = make_encoder(args.name, weights, InventorySession(load_inventory(fitted, inventory_name)))
    named = NamedSceneEncoder(name=args.name, encoder=encoder)
    table = embed_scans(ScanFolder(args.scans), [named], SceneProtocolSettings())
    calibrations = {}
    for asked in ASKED:
        for stored, pair in fit_asked(table, encoder, asked).items():
            calibrations[f"{asked.value}->{stored.value}"] = pair
            print(f"{asked.value}->{stored.value}: temperature {pair[0]:.4f}, unknown similarity {pair[1]:.3f}")
    entry = make_entry(
        name=args.name, kind="light-crossover", weights=weights, licence=args.licence, source=args.source, radii=()
    )
    entry = dataclasses.replace(entry, calibration_scene=calibrations, inventory=inventory_name)
    install_model(MODELS, entry, weights)
    print(f"{args.name}: {len(weights) / 1e6:.2f} MB")


def make_encoder(name: str, weights: bytes, inventory: InventorySession | None) -> LightSceneEncoder:
    """The encoder as robots have it, of weights that are not installed yet."""
    return LightSceneEncoder(
        name=name,
        weights_sha256="",
        session=light_session_of(load_light(weights, name)),
        tokenizer=ViewTokenizer(make_compact_session(VIEW_BACKBONE)),
        inventory=inventory,
    )


def fit_basis(encoder: LightSceneEncoder, scans: Path, inventory: bytes) -> bytes:
    """The inventory with the directions in which the embeddings of some scans differ most, and its weights."""
    named = NamedSceneEncoder(name=encoder.model.name, encoder=encoder)
    table = embed_scans(ScanFolder(scans), [named], SceneProtocolSettings(num_scenes=BASIS_PLACES, max_views=MAP_VIEWS))
    embedded = [vector for scan in table.by_encoder[0].scans for vector in scan.scenes.values()]
    network = load_inventory(inventory, "inventory")
    heads = torch.from_numpy(np.stack(embedded))[:, : network.shape.head_dim]
    _, directions = torch.linalg.eigh(heads.T @ heads)
    with torch.no_grad():
        network.basis.copy_(directions[:, -network.shape.kept_dim :].T)
        network.weights.copy_(torch.tensor(INVENTORY_WEIGHTS))
    return save_inventory(network, inventory_traits(inventory, "inventory"))


def install_inventory(name: str, weights: bytes, licence: str) -> None:
    """Put it beside the other models."""
    source = INVENTORY_SOURCE
    entry = make_entry(name=name, kind=INVENTORY_KIND, weights=weights, licence=licence, source=source, radii=())
    install_model(MODELS, entry, weights)
    print(f"{name}: {len(weights) / 1e6:.2f} MB")


def fit_asked(
    table: SceneTable, encoder: LightSceneEncoder, asked: SceneModality
) -> dict[SceneModality, tuple[float, float]]:
    """(temperature, unknown similarity) of what scenes have, for queries in one modality.

    Maps have what a robot's map has: views and clouds of the reference scans. What users add is fitted pair by pair.
    Queries come from rescans, in which furniture moved, for that is what a robot meets.
    """
    together = [SceneModality.IMAGE, SceneModality.POINT_CLOUD]
    groups: list[list[SceneModality]] = [together, [SceneModality.FLOORPLAN], [SceneModality.TEXT]]
    fitted: dict[SceneModality, tuple[float, float]] = {}
    for group in groups:
        fitted |= _fit_group(*_sample(table, encoder, asked, group), group)
    return fitted


def _fit_group(
    similarities: Float32Array, right: Float64Array, group: Sequence[SceneModality]
) -> dict[SceneModality, tuple[float, float]]:
    """Fit pairs together; one that says nothing is left out, so that the others do not make up for what it adds."""
    pairs = fit_scene_calibration(similarities, right, unknown_prior=UNKNOWN_PRIOR)
    told = [row for row, pair in enumerate(pairs) if pair.temperature < SAYS_NOTHING]
    if told and len(told) < len(group):
        rest = _fit_group(similarities[:, told], right, [group[row] for row in told])
        return {stored: rest.get(stored, (SAYS_NOTHING, 0.0)) for stored in group}
    return {
        stored: (round(pair.temperature, 4), round(pair.unknown_similarity, 4))
        for stored, pair in zip(group, pairs, strict=True)
    }


def _sample(
    table: SceneTable, encoder: LightSceneEncoder, asked: SceneModality, stored: Sequence[SceneModality]
) -> tuple[Float32Array, Float64Array]:
    """(Q, P, S) similarities of queries with the scenes of random maps, and the row of the right one, -1 for none."""
    rng = np.random.default_rng(0)
    scans = table.by_encoder[0].scans
    references = [i for i, fact in enumerate(table.facts) if fact.scan_id == fact.place_id]
    rescans = [i for i, fact in enumerate(table.facts) if fact.scan_id != fact.place_id]
    views = {i: embed_single_views(scans[i], encoder)[:MAP_VIEWS] for i in references}
    row_of = {table.facts[i].place_id: i for i in references}
    rows, right = [], []
    for index in rescans:
        own = row_of.get(table.facts[index].place_id)
        if own is None:
            continue
        for query in _queries(scans[index], encoder, asked):
            others = [i for i in references if i != own]
            chosen = list(rng.choice(others, MAP_SIZE, replace=False))
            is_known = rng.random() >= UNKNOWN_PRIOR
            answer = int(rng.integers(MAP_SIZE)) if is_known else -1
            if is_known:
                chosen[answer] = own
            rows.append([[_similarity(query, asked, scans[i], m, views.get(i)) for i in chosen] for m in stored])
            right.append(answer)
    return np.array(rows, np.float32), np.array(right, np.float64)


def _similarity(
    query: Float32Array, asked: SceneModality, scan: EmbeddedScan, stored: SceneModality, views: Float32Array | None
) -> float:
    """As the localizer compares: pictures with the most similar views of a scene, all else with its embedding."""
    if asked is stored is SceneModality.IMAGE and views is not None:
        return float(np.sort(views @ query)[-NUM_BEST_VIEWS:].mean())
    return float(query @ scan.scenes[stored])


def _queries(scan: EmbeddedScan, encoder: LightSceneEncoder, asked: SceneModality) -> list[Float32Array]:
    """Embeddings of single views, or of the scan in another modality."""
    if asked is SceneModality.IMAGE:
        return list(embed_single_views(scan, encoder)[:MAX_VIEWS])
    if asked is SceneModality.TEXT:
        # people write less than the text that describes a scene, and other words
        return [scan.texts[count] for count in SENTENCE_COUNTS if count in scan.texts]
    return [scan.scenes[asked]] if asked in scan.scenes else []


if __name__ == "__main__":
    main()
