# SPDX-License-Identifier: Apache-2.0
"""Settings -> scene encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from xover_core.config import InferenceSettings, SceneEncoderSettings
from xover_core.encoders.crossover_scene_encoder import MODEL_NAMES, make_crossover_scene_encoder
from xover_core.encoders.light_scene_encoder import VIEW_BACKBONE, LightSceneEncoder
from xover_core.encoders.scene_encoder import SceneEncoder
from xover_core.encoders.view_tokens import VIEW_RADII, ViewTokenizer
from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.compact_session import make_compact_session
from xover_core.inference.crossover_networks import PublishedCrossoverSettings
from xover_core.inference.libraries import load_library
from xover_core.inference.light_session import make_light_session
from xover_core.inference.model_store import ModelEntry, model_entry

if TYPE_CHECKING:
    from xover_core.inference.inventory_session import InventorySession

_LOGGER = logging.getLogger(__name__)


def make_scene_encoder(
    settings: SceneEncoderSettings, inference: InferenceSettings | None = None
) -> SceneEncoder | None:
    """Make the scene encoder that settings name; None when they name none.

    Args:
        settings: model name.
        inference: what runs networks; None for the defaults.

    Raises:
        BackendUnavailableError: nothing here can run the model's networks, or not what `inference` names.
        ModelError: unknown model or kind of model, or weights that are missing or damaged.
    """
    if not settings.model:
        return None
    # the published CrossOver is several files, and so in no manifest
    for behaviour, name in MODEL_NAMES.items():
        if settings.model == name:
            return make_crossover_scene_encoder(PublishedCrossoverSettings(behaviour=behaviour), inference)
    entry = model_entry(settings.model)
    if entry.kind not in _MAKERS:
        raise ModelError(
            f"model {entry.name!r}: expected a scene encoder, the manifest says kind {entry.kind!r}; name another model"
            " in scene_encoder.model."
        )
    return _MAKERS[entry.kind](entry, inference or InferenceSettings())


def scene_encoder_if_possible(
    settings: SceneEncoderSettings, inference: InferenceSettings | None = None
) -> SceneEncoder | None:
    """The same where scenes are an extra: None with a warning where nothing here can run the model.

    Raises:
        ModelError: as `make_scene_encoder`.
    """
    try:
        return make_scene_encoder(settings, inference)
    except BackendUnavailableError as error:
        _LOGGER.warning(
            "scene encoder %r is left out, and scenes are told apart by their keyframes alone: %s",
            settings.model,
            error,
        )
        return None


def _make_light(entry: ModelEntry, inference: InferenceSettings) -> SceneEncoder:
    """The light family; its views are described by the features of a patch encoder."""
    parts = [entry, model_entry(VIEW_BACKBONE), *([model_entry(entry.inventory)] if entry.inventory else [])]
    return LightSceneEncoder(
        name=entry.name,
        weights_sha256="/".join(part.sha256 for part in parts),
        session=make_light_session(entry.name, inference.num_threads),
        tokenizer=ViewTokenizer(make_compact_session(VIEW_BACKBONE, inference, VIEW_RADII)),
        inventory=_make_inventory(entry.inventory) if entry.inventory else None,
    )


def _make_inventory(name: str) -> InventorySession:
    """What is in a scene; only torch runs it."""
    load_library("torch")
    from xover_core.inference.inventory_session import make_inventory_session

    return make_inventory_session(name)


_MAKERS: Mapping[str, Callable[[ModelEntry, InferenceSettings], SceneEncoder]] = {"light-crossover": _make_light}
