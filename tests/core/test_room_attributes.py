# SPDX-License-Identifier: Apache-2.0
"""Tests of attributes of rooms: what is read, and the loss of predicting it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from room_cases import make_features, place_features

from xover_core.encoders.scene_encoder import EMBEDDING_DIM
from xover_core.training.room_attributes import AttributeHead, AttributeReader, RoomAttributes
from xover_core.types import SceneModality

IMAGE, PLAN = SceneModality.IMAGE, SceneModality.FLOORPLAN
# float32 means
TOLERANCE = 1e-5
NUM_PLACES = 12


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> AttributeReader:
    return AttributeReader(
        place_features(tmp_path_factory.mktemp("features"), [make_features(i) for i in range(NUM_PLACES)])
    )


def test_labels_of_few_places_are_left_out(reader):
    # all places have a lamp and a box, and each another thing
    assert reader.num_labels == 2
    found = reader.read([make_features(0), replace(make_features(1), labels=("fork", "fork", "lamp"))])
    assert found.presence.tolist() == [[1, 1], [0, 1]]


def test_colours_are_means_over_things_with_points(reader):
    room = make_features(0)
    alike = replace(room, labels=("lamp", "lamp", "box"))
    found = reader.read([room, alike])
    # of the features the second object is a lamp, and the box was not scanned
    assert found.has_color.tolist() == [[False, True], [False, True]]
    colors = room.object_points[..., 3:].mean(axis=1)
    np.testing.assert_allclose(found.colors[0, 1], colors[1], atol=TOLERANCE)
    np.testing.assert_allclose(found.colors[1, 1], colors[:2].mean(axis=0), atol=TOLERANCE)
    assert not found.colors[:, 0].any()


def test_sides_and_surfaces_are_those_of_the_cloud(reader):
    rng = np.random.default_rng(0)
    points = rng.uniform((-1, -2, 0), (1, 2, 2), (20_000, 3)).astype(np.float32)
    colors = np.where(points[:, 2:] < 0.5, 255, 51).repeat(3, axis=1).astype(np.uint8)
    found = reader.read([replace(make_features(0), points=points, colors=colors)])
    np.testing.assert_allclose(found.layout[0], np.array([4, 2, 2]) * 0.98 / 4, atol=0.01)
    np.testing.assert_allclose(found.surfaces[0], [0.5] * 3 + [-0.3] * 3, atol=1e-4)


def attributes_of(head: AttributeHead, embeddings: torch.Tensor) -> RoomAttributes:
    """What the head says of them."""
    found = head.linear(embeddings * EMBEDDING_DIM**0.5).detach()
    count = head.num_labels
    presence, colors, surfaces, layout = found.split([count, 3 * count, 6, 3], dim=1)
    return RoomAttributes(
        presence=(presence > 0).float(),
        colors=colors.unflatten(1, (count, 3)),
        has_color=torch.ones(len(found), count, dtype=torch.bool),
        surfaces=surfaces,
        layout=layout,
    )


def make_embeddings() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(4, EMBEDDING_DIM), dim=1)


def test_the_loss_is_that_of_what_is_wrong():
    embeddings = make_embeddings()
    head = AttributeHead(2)
    with torch.no_grad():
        head.linear.weight[:2] *= 1000  # sure of what is there
    right = attributes_of(head, embeddings)
    masks = {IMAGE: torch.ones(4, dtype=torch.bool), PLAN: torch.ones(4, dtype=torch.bool)}

    def loss(attributes, modality=IMAGE):
        return float(head.loss({modality: embeddings}, masks, attributes).detach())

    assert loss(right) < TOLERANCE
    wrong = replace(right, layout=right.layout + 0.5, surfaces=right.surfaces + 0.25, colors=right.colors + 0.125)
    assert loss(wrong) == pytest.approx(0.5 + 0.25 + 0.125, abs=TOLERANCE)
    assert loss(replace(wrong, has_color=~wrong.has_color)) == pytest.approx(0.75, abs=TOLERANCE)
    assert loss(wrong, PLAN) == pytest.approx(0.5, abs=TOLERANCE)
    assert loss(replace(right, presence=1 - right.presence)) > 1
    # the mean over modalities, of the scenes that have them
    both = head.loss({IMAGE: embeddings, PLAN: embeddings}, masks, wrong)
    assert float(both.detach()) == pytest.approx((0.875 + 0.5) / 2, abs=TOLERANCE)
    masks[IMAGE][1:] = False
    first = replace(wrong, layout=right.layout + torch.tensor([1.0, 0, 0, 0])[:, None])
    assert loss(first) == pytest.approx(1 + 0.375, abs=TOLERANCE)


@pytest.mark.parametrize("num_labels", [0, 2])
def test_the_loss_is_finite_without_labels_and_without_scenes(num_labels):
    embeddings = make_embeddings().requires_grad_()
    head = AttributeHead(num_labels)
    attributes = attributes_of(head, embeddings)
    for present in (True, False):
        loss = head.loss({IMAGE: embeddings}, {IMAGE: torch.full((4,), present)}, attributes)
        assert torch.isfinite(loss)
        loss.backward()
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(head.linear.weight.grad).all()
