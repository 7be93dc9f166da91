# SPDX-License-Identifier: Apache-2.0
"""Where the published files of CrossOver are looked for, and how its texts become tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.model_store import MODELS_DIR_VARIABLE, model_folders

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


class Tokenizer(Protocol):
    """English -> ids of BERT's vocabulary."""

    def token_ids(self, text: str) -> list[int]:
        """Ids with the start token before and the end token behind, of any length."""
        ...


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
