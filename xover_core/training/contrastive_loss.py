# SPDX-License-Identifier: Apache-2.0
"""The contrastive losses of CrossOver (eq. 1-5): what is the same, seen by two modalities, should have one embedding.

Every term is InfoNCE between two modalities, in both directions, with any modality missing anywhere:

    L(a -> b) = mean over i of -log( exp(s a_i b_i) / sum over j of exp(s a_i b_j) ),    s = 1 / temperature.

Stage 1 compares the objects of a scene with each other (`instance_loss`), stages 2 and 3 the scenes of a batch
(`scene_loss`), and `joint_loss` adds both. Embeddings have L2 norm 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xover_core.errors import TrainingError
from xover_core.training.contrastive_settings import ContrastiveSettings
from xover_core.types import SceneModality

MAX_SCALE = 100.0
"""Largest factor of similarities, the inverse of the temperature, as in CLIP and CrossOver."""
FUSED = "fused"
"""Name of the fused object embedding F_S in the names of terms."""

Embeddings = Mapping[SceneModality, Tensor]
Masks = Mapping[SceneModality, Tensor]


class Temperature(nn.Module):
    """The factor of similarities, as a parameter that a training learns."""

    def __init__(self, initial: float = 0.07, *, learns: bool = True) -> None:
        """Start at a temperature; `learns=False` keeps it."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(initial)), requires_grad=learns)

    def forward(self) -> Tensor:
        """0-d factor, the inverse of the temperature, at most `MAX_SCALE`."""
        # the parameter itself is held back: clamped results have no gradient, so that it could never come down again
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(MAX_SCALE))
        return self.log_scale.exp()


@dataclass(frozen=True, slots=True)
class LossTerms:
    """A loss and what it is the weighted sum of.

    Attributes:
        total: 0-d.
        terms: 0-d each, before weighting, by name, for example `image/text` or `fused/image`.
    """

    total: Tensor
    terms: Mapping[str, Tensor]


def instance_loss(embeddings: Embeddings, masks: Masks, scale: Tensor, settings: ContrastiveSettings) -> LossTerms:
    """Stage 1: each object of a scene against the others of the same scene, between modalities (eq. 1, 2).

    Args:
        embeddings: (B, K, D) of B scenes of K objects each, padded, by modality.
        masks: (B, K) bool: this object has this modality, by modality.
        scale: factor of similarities, see `Temperature`.
        settings: pairs, and what missing rows are.

    Returns:
        Sum of the terms; 0 (with a gradient of 0) where nothing can be compared.

    Raises:
        TrainingError: shapes do not fit together, or the base modality is not there.
    """
    _check(embeddings, masks, 3)
    modalities = list(embeddings)
    pairs = list(itertools.combinations(modalities, 2))
    if settings.instance_pairs == "base":
        base = SceneModality(settings.base_modality)
        if base not in embeddings:
            raise TrainingError(f"instance loss: expected the base modality {base.value} among {_names(modalities)}.")
        pairs = [(base, other) for other in modalities if other != base]
    terms = {
        f"{a.value}/{b.value}": symmetric_info_nce(
            embeddings[a], embeddings[b], masks[a], masks[b], scale, counts_missing=_counts_missing(settings)
        )
        for a, b in pairs
    }
    return LossTerms(sum(terms.values(), 0 * scale), terms)


def scene_loss(
    fused: Tensor | None,
    embeddings: Embeddings,
    masks: Masks,
    *,
    scale: Tensor,
    settings: ContrastiveSettings,
    fused_mask: Tensor | None = None,
    places: Tensor | None = None,
) -> LossTerms:
    """Stages 2 and 3: each scene of a batch against the others (eq. 3, 5).

    Args:
        fused: (B, D) fused object embeddings F_S; None where `scene_pairs` does not need them.
        embeddings: (B, D) by modality.
        masks: (B,) bool: this scene has this modality, by modality.
        scale: factor of similarities, see `Temperature`.
        settings: pairs, directions, weights, and what missing rows and rescans are.
        fused_mask: (B,) bool: this scene has objects; None = all have.
        places: (B,) integers, the same for scans of one place; None = all differ.

    Returns:
        Weighted sum of the terms; 0 (with a gradient of 0) where nothing can be compared.

    Raises:
        TrainingError: shapes do not fit together, or fused embeddings are needed and not there.
    """
    _check(embeddings, masks, 2)
    rows: dict[str, tuple[Tensor, Tensor]] = {m.value: (embeddings[m], masks[m]) for m in embeddings}
    if settings.scene_pairs != "modalities":
        if fused is None:
            raise TrainingError(f"scene loss: scene_pairs = {settings.scene_pairs} needs fused embeddings, got None.")
        rows[FUSED] = (fused, fused.new_ones(len(fused), dtype=torch.bool) if fused_mask is None else fused_mask)
    is_same = None if places is None or settings.same_place == "negative" else places[:, None] == places
    is_positive, counts_missing = settings.same_place == "positive", _counts_missing(settings)
    terms, total = {}, 0 * scale
    for (first, second), weight in _scene_pairs(embeddings, settings).items():
        (a, has_a), (b, has_b) = rows[first], rows[second]
        term = symmetric_info_nce(
            a, b, has_a, has_b, scale, counts_missing=counts_missing, is_same=is_same, same_is_positive=is_positive
        )
        term = 2 * term if settings.scene_directions == "sum" else term
        terms[f"{first}/{second}"] = term
        total = total + weight * term
    return LossTerms(total, terms)


def joint_loss(instance: LossTerms, scene: LossTerms, settings: ContrastiveSettings) -> LossTerms:
    """Instance and scene loss together (eq. 4), for a training that does not freeze the instance encoder."""
    terms = {f"instance/{name}": term for name, term in instance.terms.items()}
    terms |= {f"scene/{name}": term for name, term in scene.terms.items()}
    return LossTerms(settings.instance_weight * instance.total + scene.total, terms)


def symmetric_info_nce(
    first: Tensor,
    second: Tensor,
    has_first: Tensor,
    has_second: Tensor,
    scale: Tensor,
    *,
    counts_missing: bool = False,
    is_same: Tensor | None = None,
    same_is_positive: bool = False,
) -> Tensor:
    """InfoNCE between rows of two modalities, mean of both directions, in float32 also within mixed precision.

    Args:
        first: (..., N, D).
        second: (..., N, D); row i belongs to row i of `first`.
        has_first: (..., N) bool; others are missing.
        has_second: (..., N) bool.
        scale: factor of similarities.
        counts_missing: missing rows are negatives, as in the published code.
        is_same: (N, N) bool, pairs of other rows that are no negatives of each other; None = only each with itself.
        same_is_positive: they are positives instead.

    Returns:
        0-d mean over rows that have both (or a positive in the other modality); 0 without any.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = (value.float() if value.dtype.itemsize < 4 else value for value in (first, second))
        if not counts_missing:  # whatever a missing row holds, it must not reach values or gradients
            first = torch.where(has_first[..., None], first, 0)
            second = torch.where(has_second[..., None], second, 0)
        logits = scale * first @ second.mT
        own = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
        same = own if is_same is None else is_same | own
        is_positive = (same if same_is_positive else own) & has_first[..., :, None] & has_second[..., None, :]
        may_count = ~same | own | is_positive
        forward = _info_nce(logits, is_positive, may_count & (has_second[..., None, :] | counts_missing))
        backward = _info_nce(logits.mT, is_positive.mT, (may_count & (has_first[..., :, None] | counts_missing)).mT)
    return (forward + backward) / 2


def _info_nce(logits: Tensor, is_positive: Tensor, is_candidate: Tensor) -> Tensor:
    """Mean over rows with a positive of the mean over their positives of -log of its share among the candidates."""
    num_positive = is_positive.sum(-1)
    # a row without a positive may have no candidate either; it gets finite logits, since 0 * NaN is NaN
    usable = is_candidate | (num_positive == 0)[..., None]
    log_shares = logits.masked_fill(~usable, -torch.inf).log_softmax(-1)
    losses = -torch.where(is_positive, log_shares, 0).sum(-1) / num_positive.clamp(min=1)
    return losses.sum() / (num_positive > 0).sum().clamp(min=1)


def _scene_pairs(modalities: Collection[SceneModality], settings: ContrastiveSettings) -> dict[tuple[str, str], float]:
    """Which embeddings of scenes are compared, by name, with the weight of each pair."""
    weights: dict[tuple[str, str], float] = {}
    if settings.scene_pairs != "modalities":
        weights |= {(FUSED, m.value): settings.weight(m) for m in modalities}
    if settings.scene_pairs != "fused":
        for a, b in itertools.combinations(modalities, 2):
            weights[a.value, b.value] = (settings.weight(a) + settings.weight(b)) / 2
    return weights


def _counts_missing(settings: ContrastiveSettings) -> bool:
    return settings.missing_rows == "negatives"


def _check(embeddings: Embeddings, masks: Masks, num_dims: int) -> None:
    """Raise TrainingError unless all embeddings have one shape, with a mask each."""
    if set(embeddings) - set(masks):
        raise TrainingError(f"contrastive loss: expected a mask for {_names(embeddings)}, got {_names(masks)}.")
    shapes = {tuple(value.shape) for value in embeddings.values()}
    mask_shapes = {tuple(masks[m].shape) for m in embeddings}
    if len(shapes) > 1 or any(len(shape) != num_dims for shape in shapes):
        raise TrainingError(f"contrastive loss: expected embeddings of one {num_dims}-d shape, got {sorted(shapes)}.")
    if mask_shapes != {shape[:-1] for shape in shapes} or any(masks[m].dtype != torch.bool for m in embeddings):
        found = {m.value: (str(masks[m].dtype), tuple(masks[m].shape)) for m in embeddings}
        raise TrainingError(f"contrastive loss: expected bool masks of the embeddings' rows {shapes}, got {found}.")


def _names(modalities: Mapping[SceneModality, Tensor] | list[SceneModality]) -> str:
    return ", ".join(modality.value for modality in modalities) or "none"
