# SPDX-License-Identifier: Apache-2.0
"""Where the published files of CrossOver are looked for, and the networks that they hold, each loaded when needed."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from xover_core.config import Settings, setting
from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_folders

if TYPE_CHECKING:
    from xover_core.networks.bert_text_encoder import BertTextEncoder
    from xover_core.networks.crossover import CrossOver
    from xover_core.networks.i2p_mae import I2pMae
    from xover_core.networks.vit_backbone import VitBackbone

FOLDER = "crossover"
"""Within a models folder."""
SCENE_WEIGHTS = "scene_crossover_scannet+scan3r.pth/model.safetensors"
IMAGE_WEIGHTS = "dinov2_vitg14_pretrain.pth"
TEXT_WEIGHTS = "model_large.pth"
VOCABULARY = "bert-base-uncased-vocab.txt"
OBJECT_WEIGHTS = "pointbind_i2pmae.pt"

_SOURCES = {
    SCENE_WEIGHTS: "the Hugging Face repository gradient-spaces/CrossOver",
    IMAGE_WEIGHTS: "facebookresearch/dinov2",
    TEXT_WEIGHTS: "salesforce/BLIP",
    VOCABULARY: "vocab.txt of the Hugging Face repository bert-base-uncased",
    OBJECT_WEIGHTS: "ZiyuGuo99/Point-Bind_Point-LLM",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCrossoverSettings(Settings):
    """How the published networks are run."""

    behaviour: str = setting(
        "corrected",
        "corrected: fusion weights are scaled to the modalities that are there, padding does not influence distances of"
        " objects, long texts are cut; released: none of these, long texts are left out",
        choices=("corrected", "released"),
    )
    device: str = setting("cpu", "torch device that runs them")


class Tokenizer(Protocol):
    """English -> ids of BERT's vocabulary."""

    def token_ids(self, text: str) -> list[int]:
        """Ids with the start token before and the end token behind, of any length."""
        ...


class CrossOverNetworks(Protocol):
    """All networks of CrossOver, in evaluation mode, on one device."""

    @property
    def unified(self) -> CrossOver:
        """Features -> scenes and objects."""
        ...

    @property
    def image_encoder(self) -> VitBackbone:
        """Pictures -> values of tokens."""
        ...

    @property
    def text_encoder(self) -> BertTextEncoder:
        """Token ids -> features."""
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

    def __init__(self, settings: PublishedCrossoverSettings) -> None:
        """Read nothing yet."""
        self._settings = settings

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
        return load_crossover(find_published(SCENE_WEIGHTS), shape).to(self._settings.device)

    @cached_property
    def image_encoder(self) -> VitBackbone:
        """DINOv2 ViT-g/14 without registers."""
        from xover_core.inference.vit_weights import load_vit_backbone
        from xover_core.networks.vit_backbone import DINOV2_VITG14

        return load_vit_backbone(find_published(IMAGE_WEIGHTS), DINOV2_VITG14).to(self._settings.device)

    @cached_property
    def text_encoder(self) -> BertTextEncoder:
        """BLIP's."""
        from xover_core.inference.crossover_checkpoint import load_blip_text

        return load_blip_text(find_published(TEXT_WEIGHTS)).to(self._settings.device)

    @cached_property
    def object_encoder(self) -> I2pMae:
        """Point-Bind's."""
        from xover_core.inference.crossover_checkpoint import load_i2p_mae

        return load_i2p_mae(find_published(OBJECT_WEIGHTS)).to(self._settings.device)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """BERT's, uncased."""
        return WordPieceTokenizer(find_published(VOCABULARY))


class WordPieceTokenizer:
    """Implements `Tokenizer` by the library `tokenizers`."""

    def __init__(self, vocabulary: Path) -> None:
        """Read a vocabulary.

        Args:
            vocabulary: one token a line.

        Raises:
            BackendUnavailableError: the library is missing.
            ModelError: the file cannot be read.
        """
        try:
            from tokenizers import BertWordPieceTokenizer
        except ImportError as error:
            raise BackendUnavailableError(
                f'reading texts for CrossOver needs the library tokenizers ({error}); pip install "xover[vit]".'
            ) from error
        try:
            self._tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        except Exception as error:  # the library raises nothing narrower
            raise ModelError(f"vocabulary {vocabulary}: cannot be read, {error}.") from error

    def token_ids(self, text: str) -> list[int]:
        """Ids with the start token before and the end token behind."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids


def file_checksum(path: Path) -> str:
    """sha256 of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find_published(file: str) -> Path:
    """The first of the models folders that has a published file, or a safetensors copy of it.

    Args:
        file: as published.

    Raises:
        ModelError: none has it.
    """
    folders = [folder / FOLDER for folder in model_folders()]
    copies = [file] if file == VOCABULARY else [file, str(Path(file).with_suffix(".safetensors"))]
    for path in (folder / copy for folder in folders for copy in copies):
        if path.is_file():
            return path
    places = ", ".join(str(folder) for folder in folders)
    raise ModelError(
        f"published CrossOver: {file} (from {_SOURCES[file]}) is in none of {places}; put it there, or set"
        f" {MODELS_DIR_VARIABLE} to the folder that has {FOLDER}/{file}."
    )
