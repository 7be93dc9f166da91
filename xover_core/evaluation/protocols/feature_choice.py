# SPDX-License-Identifier: Apache-2.0
"""Which features stand in the tables: baselines, and the project's encoders as shipped and fitted to a site."""

from __future__ import annotations

from collections.abc import Sequence

from xover_core.config import EncoderSettings, InferenceSettings
from xover_core.encoders.factory import ENCODER_KINDS, make_encoder
from xover_core.encoders.patch_encoder import PatchEncoder, SiteFittable
from xover_core.encoders.whitening import Whitening, WhiteningFitter
from xover_core.evaluation.protocols.patch_sources import (
    IMAGE_HEIGHT,
    EncoderPatches,
    PatchFeature,
    PatchSource,
    RawPatches,
    SiftPatches,
)
from xover_core.inference.model_store import model_entries, model_entry
from xover_core.types import RgbdFrame

WHITENED_DIM = 64
ONE_SIZE_PX = 16.0
THREE_SIZES_PX = (10.0, 20.0, 40.0)
# The covariance of 384 numbers is known well from the patches of this many images; OpenCV's SIFT takes its time.
MAX_FIT_FRAMES = 60
LOCUS_PREFIX = "locus"
# Radius of a patch, m: which scale of a model with several is asked for where a protocol names none.
PATCH_RADIUS = 0.2
# Kind of models that are no networks, and so have one precision.
_NO_NETWORK = "rootsift"

SiteFrames = Sequence[RgbdFrame]


def default_models() -> tuple[str, ...]:
    """Every patch encoder of the manifests, LoCUS last."""
    names = [name for name, entry in model_entries().items() if entry.kind in ENCODER_KINDS]
    return tuple(sorted(names, key=lambda name: (name.startswith(LOCUS_PREFIX), name)))


def baseline_features(site_frames: SiteFrames) -> tuple[PatchFeature, ...]:
    """Raw patches, dense RootSIFT at one and at three sizes, the latter also whitened by images of the site."""
    three_sizes = SiftPatches(THREE_SIZES_PX)
    return (
        PatchFeature(name="raw-16px", source=RawPatches()),
        PatchFeature(name="rootsift-16px", source=SiftPatches((ONE_SIZE_PX,))),
        PatchFeature(name="rootsift-10-20-40px", source=three_sizes),
        PatchFeature(
            name=f"rootsift-10-20-40px-pca{WHITENED_DIM}",
            source=three_sizes,
            whitening=fit_whitening(three_sizes, site_frames),
        ),
    )


def encoder_features(
    models: Sequence[str], site_frames: SiteFrames, radius: float, precisions: Sequence[str] = ()
) -> tuple[PatchFeature, ...]:
    """Each model as it is shipped, and where it can be fitted without training also fitted to images of the site.

    Args:
        models: names.
        site_frames: what is fitted to.
        radius: of the features, m; 0 is the finest.
        precisions: in which networks compute, one row for each; empty for what the settings choose.

    Raises:
        BackendUnavailableError: a network cannot be run here, or not in a precision; `xover export` makes its file.
        ModelError: an unknown model, or its weights are missing.
    """
    return tuple(
        PatchFeature(name=name, source=EncoderPatches(encoder))
        for name, encoder in named_encoders(models, site_frames, radius, precisions)
    )


def named_encoders(
    models: Sequence[str], site_frames: SiteFrames, radius: float = 0.0, precisions: Sequence[str] = ()
) -> list[tuple[str, PatchEncoder]]:
    """(name in tables, encoder): as `encoder_features`."""
    named: list[tuple[str, PatchEncoder]] = []
    for model in models:
        settings = EncoderSettings(model=model, image_height=IMAGE_HEIGHT, radius=radius)
        if precisions and model_entry(model).kind != _NO_NETWORK:
            named += [(f"{model}, {one}", make_encoder(settings, inference=_in(one))) for one in precisions]
            continue
        encoder = make_encoder(settings)
        named.append((model, encoder))
        if isinstance(encoder, SiteFittable):
            fitted = encoder.fit_to(site_frames)
            if fitted is not encoder:
                named.append((f"{model}-fitted", fitted))
    return named


def _in(precision: str) -> InferenceSettings:
    """On the CPU, by ONNX Runtime: rows differ in nothing but their precision."""
    return InferenceSettings(backend="onnxruntime", device="cpu", precision=precision)


def fit_whitening(source: PatchSource, frames: SiteFrames) -> Whitening:
    """PCA with whitening to 64 dimensions of a source's descriptors.

    Raises:
        ModelError: too few patches with content.
    """
    fitter: WhiteningFitter | None = None
    for frame in frames:
        described = source.describe(frame)
        fitter = fitter or WhiteningFitter(described.shape[1])
        fitter.add(described)
    return (fitter or WhiteningFitter(0)).fit(WHITENED_DIM)
