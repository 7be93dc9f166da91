# SPDX-License-Identifier: Apache-2.0
"""The networks of the published CrossOver, each loaded when needed: by the fastest library, or where only torch can."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from xover_core.config import InferenceSettings, Settings, setting
from xover_core.inference.crossover_files import (
    OBJECT_WEIGHTS,
    SCENE_WEIGHTS,
    VOCABULARY,
    Tokenizer,
    WordPieceTokenizer,
    file_checksum,
    find_published,
)
from xover_core.inference.crossover_graphs import published_image_graph, published_text_graph
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.model_store import load_export
from xover_core.inference.session import Session
from xover_core.inference.session_factory import make_session
from xover_core.inference.torch_device import torch_device

if TYPE_CHECKING:
    from xover_core.networks.crossover import CrossOver
    from xover_core.networks.i2p_mae import I2pMae


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCrossoverSettings(Settings):
    """How the published networks are run."""

    behaviour: str = setting(
        "corrected",
        "corrected: fusion weights are scaled to the modalities that are there, padding does not influence distances of"
        " objects, long texts are cut; released: none of these, long texts are left out",
        choices=("corrected", "released"),
    )


class CrossOverNetworks(Protocol):
    """All networks of CrossOver; modules of torch are in evaluation mode."""

    @property
    def device(self) -> str:
        """Where the modules of torch are."""
        ...

    @property
    def unified(self) -> CrossOver:
        """Features -> scenes and objects."""
        ...

    @property
    def image_encoder(self) -> Session:
        """Of `crossover_graphs.make_image_graph`."""
        ...

    @property
    def text_encoder(self) -> Session:
        """Of `crossover_graphs.make_text_graph`."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest text."""
        ...

    @property
    def object_encoder(self) -> I2pMae:
        """Points of objects -> features."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """Texts -> token ids."""
        ...


class PublishedNetworks:
    """Implements `CrossOverNetworks` by the published files; each is read when it is first needed."""

    def __init__(self, settings: PublishedCrossoverSettings, inference: InferenceSettings | None = None) -> None:
        """Read nothing yet.

        Args:
            settings: of the networks.
            inference: what runs the encoders of pictures and texts, and where all are run.

        Raises:
            BackendUnavailableError: a GPU is named that is not there, or that torch cannot use.
        """
        self._settings = settings
        self._inference = inference or InferenceSettings()
        self._device = torch_device(self._inference)

    @property
    def device(self) -> str:
        """See `CrossOverNetworks.device`."""
        return self._device

    @cached_property
    def checksum(self) -> str:
        """sha256 of the unified model's file; the frozen encoders were trained on, so that they are always the same.

        Raises:
            ModelError: it is in no models folder.
        """
        return file_checksum(find_published(SCENE_WEIGHTS))

    @cached_property
    def unified(self) -> CrossOver:
        """Of `scene_crossover_scannet+scan3r.pth`."""
        from xover_core.inference.crossover_checkpoint import load_crossover
        from xover_core.networks.crossover import CrossOverShape

        shape = CrossOverShape()
        if self._settings.behaviour == "released":
            instance = dataclasses.replace(shape.instance, counts_padding=True)
            shape = dataclasses.replace(shape, instance=instance, renormalizes_fusion=False)
        return load_crossover(find_published(SCENE_WEIGHTS), shape).to(self._device)

    @cached_property
    def image_encoder(self) -> Session:
        """DINOv2 ViT-g/14 without registers."""
        return _make_session(published_image_graph(), self._inference)

    @cached_property
    def text_encoder(self) -> Session:
        """BLIP's."""
        return _make_session(published_text_graph(), self._inference)

    @property
    def max_tokens(self) -> int:
        """BLIP's."""
        from xover_core.networks.bert_text_encoder import BertShape

        return BertShape().max_tokens

    @cached_property
    def object_encoder(self) -> I2pMae:
        """Point-Bind's."""
        from xover_core.inference.crossover_checkpoint import load_i2p_mae

        return load_i2p_mae(find_published(OBJECT_WEIGHTS)).to(self._device)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """BERT's, uncased."""
        return WordPieceTokenizer(find_published(VOCABULARY))


def _make_session(graph: ModelGraph, inference: InferenceSettings) -> Session:
    # no manifest names these weights: an exported file of others is noticed here or nowhere
    return make_session(graph, inference, partial(load_export, weights_sha256=graph.weights_sha256))
