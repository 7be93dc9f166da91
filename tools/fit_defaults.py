# SPDX-License-Identifier: Apache-2.0
"""Fit what the shipped models need on procedural apartments: the `whitening` of RootSIFT, each model's `calibration`.

    python tools/fit_defaults.py whitening
    python tools/fit_defaults.py calibration --model rootsift-pca64

Both write into models/; the whitening takes a minute, the calibration about six on one core. The map's own
whitening replaces the shipped one when a map is finished, so the shipped one only serves the first minutes of mapping.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

from xover_core.config import XoverSettings
from xover_core.config_io import override
from xover_core.datasets.procedural import ApartmentWalk, make_apartment
from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.rgbd_sequence import SequenceItem
from xover_core.encoders.dense_rootsift import DESCRIPTOR_DIM, dense_rootsift
from xover_core.encoders.patch_grid import make_patch_grid
from xover_core.encoders.rootsift_encoder import NUM_SIZES
from xover_core.encoders.whitening import WhiteningFitter
from xover_core.geometry.transforms import pose_error
from xover_core.landmark_map.map_builder import open_map_builder
from xover_core.localization.calibration import DEPTH_FEATURES, MATCHING_FEATURES, PoseEvidence, fit_logistic
from xover_core.localization.localizer import Localizer, load_localizer
from xover_core.types import Float64Array, PoseHypothesis

MODELS = Path(__file__).resolve().parent.parent / "models"
MODEL = "rootsift-pca64"
DESCRIPTOR_LENGTH = 64
WHITENING_APARTMENTS = 40
VIEWS_PER_APARTMENT = 12
CALIBRATION_SEEDS = range(1000, 1008)
QUERIES_PER_APARTMENT = 30
FOREIGN_QUERIES = 20
RIDGE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Features of one hypothesis, whether it was right, and which apartment it is from."""

    seed: int
    features: Float64Array
    is_right: bool


def fit_whitening() -> None:
    """PCA with whitening over views of many apartments; writes the weights and their checksum."""
    fitter = WhiteningFitter(NUM_SIZES * DESCRIPTOR_DIM)
    for seed in tqdm(range(WHITENING_APARTMENTS), desc="apartments"):
        walk = ApartmentWalk(make_apartment(seed), seed=seed)
        for index in np.linspace(0, len(walk) - 1, VIEWS_PER_APARTMENT).astype(int):
            rgb = walk.item(int(index)).frame.rgb
            grid = make_patch_grid(rgb.shape[1], rgb.shape[0], XoverSettings().encoder.image_height)
            fitter.add(dense_rootsift(rgb, grid, NUM_SIZES))
    weights = fitter.fit(DESCRIPTOR_LENGTH).to_bytes()
    (MODELS / f"{MODEL}.safetensors").write_bytes(weights)
    source = f"PCA with whitening of dense RootSIFT on {WHITENING_APARTMENTS} procedural apartments, by this project"
    update_manifest(MODEL, {"sha256": hashlib.sha256(weights).hexdigest(), "source": source})


def fit_calibration(model: str, folder: Path) -> None:
    """Logistic regression over hypotheses of queries at home, at home after changes, and elsewhere."""
    settings = override(XoverSettings(), {"encoder.model": model, "decision.min_hypothesis_probability": 0.0})
    with_depth: list[Sample] = []
    without_depth: list[Sample] = []
    for seed in tqdm(CALIBRATION_SEEDS, desc="apartments"):
        with tempfile.TemporaryDirectory() as folder:
            home = make_apartment(seed, num_rooms=3, num_lookalikes=2 * (seed % 2))
            localizer = map_apartment(home, Path(folder) / "home.xover", settings)
            for item, is_home in queries(home, seed):
                with_depth += examine(localizer, item, seed, is_home=is_home, has_depth=True)
                without_depth += examine(localizer, item, seed, is_home=is_home, has_depth=False)
    update_manifest(
        model,
        {
            "calibration_with_depth": fit_weights("with depth", with_depth, MATCHING_FEATURES + DEPTH_FEATURES),
            "calibration_without_depth": fit_weights("without depth", without_depth, MATCHING_FEATURES),
        },
        folder,
    )


def map_apartment(apartment: Apartment, path: Path, settings: XoverSettings) -> Localizer:
    """Map an apartment by one walk."""
    builder = open_map_builder(path, settings)
    with builder.storage:
        for item in ApartmentWalk(apartment, seed=1, rate_hz=2.0):
            if item.T_world_camera is not None:
                builder.add(item.frame, item.T_world_camera)
        builder.finish()
    return load_localizer(path, settings)


def queries(home: Apartment, seed: int) -> Iterator[tuple[SequenceItem, bool]]:
    """Frames of other walks: at home as it was, relit and rearranged, and in another apartment."""
    changed = home.relit(seed) if seed % 3 else home.rearranged(seed)[0]
    for apartment, count, is_home in (
        (home, QUERIES_PER_APARTMENT, True),
        (changed, QUERIES_PER_APARTMENT // 2, True),
        (make_apartment(seed + 500, num_rooms=3), FOREIGN_QUERIES, False),
    ):
        walk = ApartmentWalk(apartment, seed=2, rate_hz=2.0, reverse=True)
        for index in np.linspace(0, len(walk) - 1, count).astype(int):
            yield walk.item(int(index)), is_home


def examine(localizer: Localizer, item: SequenceItem, seed: int, *, is_home: bool, has_depth: bool) -> list[Sample]:
    """The best hypothesis of one query as a sample; none when there is no hypothesis."""
    frame = item.frame if has_depth else dataclasses.replace(item.frame, depth=None)
    hypotheses = localizer.localize_image(frame).hypotheses
    if not hypotheses or item.T_world_camera is None:
        return []
    distance, angle = pose_error(hypotheses[0].T_map_camera, item.T_world_camera)
    is_right = is_home and distance <= 1.0 and angle <= np.deg2rad(30)
    features = evidence_of(hypotheses[0]).features(has_depth=has_depth)
    return [Sample(seed=seed, features=features, is_right=is_right)]


def evidence_of(hypothesis: PoseHypothesis) -> PoseEvidence:
    """The evidence that a hypothesis carries."""
    compared = hypothesis.num_compared
    return PoseEvidence(
        num_inliers=hypothesis.num_inliers,
        rival_ratio=hypothesis.rival_ratio,
        num_agree=round(compared * hypothesis.depth_agreement) if compared else 0,
        num_see_through=round(compared * hypothesis.see_through) if compared else 0,
        num_compared=compared,
    )


def fit_weights(title: str, samples: list[Sample], names: tuple[str, ...]) -> list[float]:
    """Fit, print what held for apartments that were left out of a fit, and return the weights."""
    features = np.stack([sample.features for sample in samples])
    is_right = np.array([sample.is_right for sample in samples], dtype=np.float64)
    seeds = np.array([sample.seed for sample in samples])
    predicted = np.zeros(len(samples))
    for seed in np.unique(seeds):
        held_out = seeds == seed
        weights = fit_logistic(features[~held_out], is_right[~held_out], ridge=RIDGE)
        predicted[held_out] = 1 / (1 + np.exp(-features[held_out] @ weights))
    print(f"{title}: best hypotheses of {len(samples)} queries, {is_right.mean():.2f} right")
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        accepted = predicted >= threshold
        found = accepted[is_right > 0].mean()
        print(f"  p >= {threshold}: {is_right[accepted].mean():.3f} right, {found:.3f} of the right ones accepted")
    weights = fit_logistic(features, is_right, ridge=RIDGE)
    print(f"  {dict(zip(names, weights.round(2).tolist(), strict=True))}")
    return [round(float(weight), 4) for weight in weights]


def update_manifest(model: str, fields: dict[str, object], folder: Path = MODELS) -> None:
    """Put fields into a model's manifest entry; the comment at the top stays."""
    path = folder / "manifest.yaml"
    text = path.read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if line.startswith("#")]
    manifest = yaml.safe_load(text)
    manifest["models"][model].update(fields)
    body = yaml.safe_dump(manifest, sort_keys=False, width=120, default_flow_style=None)
    path.write_text("\n".join(comments) + "\n" + body, encoding="utf-8")


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("whitening", "calibration"))
    parser.add_argument("--model", default=MODEL, help="whose calibration (default: %(default)s)")
    parser.add_argument(
        "--models-dir", type=Path, default=MODELS, help="whose manifest has the model (default: %(default)s)"
    )
    args = parser.parse_args()
    if args.step == "whitening":
        fit_whitening()
    else:
        fit_calibration(args.model, args.models_dir)


if __name__ == "__main__":
    main()
