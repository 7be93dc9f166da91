# SPDX-License-Identifier: Apache-2.0
"""The light CrossOver by parts is the light CrossOver; without torch all but clouds can be embedded."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from room_cases import TINY, tiny_light

from xover_core.errors import BackendUnavailableError
from xover_core.inference.light_arrays import ObjectArrays
from xover_core.inference.light_session import LightSession, light_session_of
from xover_core.networks.light_crossover import ObjectTensors
from xover_core.types import SceneModality

# Sums in another order, of embeddings of norm 1.
TOLERANCE = 1e-5
NUM_OBJECTS, NUM_POINTS = 5, 32
MODALITIES = (SceneModality.POINT_CLOUD, SceneModality.CAD, SceneModality.IMAGE, SceneModality.TEXT)


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    return tiny_light(TINY).eval()


@pytest.fixture(scope="module")
def session(network) -> LightSession:
    return light_session_of(network)


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def test_views_are_described_and_pooled(session, network):
    tokens = random(3, TINY.num_tokens, TINY.token_dim)
    with torch.inference_mode():
        described = network.views(torch.from_numpy(tokens)).numpy()
    found = np.stack([session.describe_view(one) for one in tokens])
    np.testing.assert_allclose(found, described, atol=TOLERANCE)
    assert (session.token_dim, session.view_dim) == (TINY.token_dim, TINY.view_dim)

    views = np.concatenate([described, random(3, TINY.color_dim)], axis=1)
    layout = random(TINY.layout_dim, seed=1)
    scenes = torch.zeros(3, dtype=torch.int64)
    with torch.inference_mode():
        plain = network.embed_views(torch.from_numpy(views), scenes, 1)[0].numpy()
        posed = network.embed_views(torch.from_numpy(views), scenes, 1, torch.from_numpy(layout)[None])[0].numpy()
    np.testing.assert_allclose(session.embed_views(views, None), plain, atol=TOLERANCE)
    np.testing.assert_allclose(session.embed_views(views, layout), posed, atol=TOLERANCE)


def test_texts_and_floorplans(session, network):
    words = np.random.default_rng(0).integers(1, 50, (4, 6))
    raster, layout = random(96, 64), random(TINY.layout_dim)
    with torch.inference_mode():
        text = network.embed_text(torch.from_numpy(words)[None])[0].numpy()
        plan = network.embed_floorplan(torch.from_numpy(raster)[None], torch.from_numpy(layout)[None])[0].numpy()
    np.testing.assert_allclose(session.embed_text(words), text, atol=TOLERANCE)
    np.testing.assert_allclose(session.embed_floorplan(raster, layout), plan, atol=TOLERANCE)


def make_objects(modality):
    """Objects of which two lack the modality."""
    mask = np.array([True, False, True, True, False])
    count = {m: int(mask.sum()) if m is modality else 0 for m in MODALITIES}
    rng = np.random.default_rng(3)
    return ObjectArrays(
        points=random(count[SceneModality.POINT_CLOUD], NUM_POINTS, TINY.point_dim),
        cad_points=random(count[SceneModality.CAD], NUM_POINTS, TINY.point_dim, seed=1),
        crops=rng.integers(0, 256, (count[SceneModality.IMAGE], 32, 32, 3), dtype=np.uint8),
        words=rng.integers(1, 50, (count[SceneModality.TEXT], 3, 5)),
        locations=random(NUM_OBJECTS, 6, seed=2),
        masks={m: mask if m is modality else np.zeros(NUM_OBJECTS, bool) for m in MODALITIES},
    )


@pytest.mark.parametrize("modality", MODALITIES)
def test_objects_are_embedded_as_by_the_whole_network(session, network, modality):
    objects = make_objects(modality)
    masks = {m: torch.from_numpy(mask)[None] for m, mask in objects.masks.items()}
    tensors = ObjectTensors(
        points=torch.from_numpy(objects.points),
        cad_points=torch.from_numpy(objects.cad_points),
        crops=torch.from_numpy(objects.crops).permute(0, 3, 1, 2).float() / 255,
        words=torch.from_numpy(objects.words),
        locations=torch.from_numpy(objects.locations)[None],
        masks=masks,
    )
    with torch.inference_mode():
        embedded = network.embed_objects(tensors)
        expected_scene = network.fuse_objects(embedded, masks)[0].numpy()
        expected = torch.where(masks[modality][0][:, None], embedded[modality][0], 0).numpy()
    rows, scene = session.embed_objects(objects, modality)
    np.testing.assert_allclose(rows, expected, atol=TOLERANCE)
    np.testing.assert_allclose(scene, expected_scene, atol=TOLERANCE)
    assert rows.dtype == scene.dtype == np.float32
    assert not rows[~objects.masks[modality]].any()


def test_clouds_without_torch_say_what_to_install(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    cloud = np.zeros((4, 3), np.int32), random(4, 3), random(TINY.color_dim), random(TINY.layout_dim)
    with pytest.raises(BackendUnavailableError, match=r"torch is not installed; pip install 'xover\[torch\]'"):
        session.embed_cloud(*cloud)
