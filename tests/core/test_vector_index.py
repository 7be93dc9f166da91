# SPDX-License-Identifier: Apache-2.0
"""Tests of the vector index: FAISS, NumPy and the graph against the full matrix of similarities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from xover_core.errors import GeometryError
from xover_core.landmark_map import vector_index
from xover_core.landmark_map.vector_index import NumpyBackend, VectorIndex

DIM = 16
# Products of 16 float32 numbers, summed in another order.
SIMILARITY_TOLERANCE = 1e-6
# Share of the true nearest vectors that the graph has to find; it is approximate.
MIN_GRAPH_RECALL = 0.95

MakeIndex = Callable[[], VectorIndex]


@pytest.fixture(params=["faiss", "numpy"])
def make_index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeIndex:
    if request.param == "numpy":
        monkeypatch.setattr(vector_index, "make_backend", NumpyBackend)
    else:
        pytest.importorskip("faiss")
    return lambda: VectorIndex(DIM)


def unit_vectors(random: np.random.Generator, num: int) -> NDArray[np.float32]:
    vectors = random.normal(size=(num, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_finds_the_most_similar(make_index: MakeIndex, random: np.random.Generator) -> None:
    vectors, queries = unit_vectors(random, 200), unit_vectors(random, 7)
    ids = random.permutation(10_000)[:200]
    index = make_index()
    index.add(vectors, ids)
    similarities, found = index.search(queries, 5)
    expected = queries @ vectors.T
    order = np.argsort(-expected, axis=1)[:, :5]
    np.testing.assert_array_equal(found, ids[order])
    np.testing.assert_allclose(similarities, np.take_along_axis(expected, order, axis=1), atol=SIMILARITY_TOLERANCE)
    assert (similarities.dtype, found.dtype) == (np.float32, np.int64)


def test_adding_in_parts_is_adding_at_once(make_index: MakeIndex, random: np.random.Generator) -> None:
    vectors, ids = unit_vectors(random, 50), np.arange(50) * 3
    at_once, in_parts = make_index(), make_index()
    at_once.add(vectors, ids)
    for part in np.array_split(np.arange(50), 6):
        in_parts.add(vectors[part], ids[part])
    assert len(in_parts) == len(at_once) == 50
    for got, expected in zip(in_parts.search(vectors, 4), at_once.search(vectors, 4), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_more_neighbours_than_vectors(make_index: MakeIndex, random: np.random.Generator) -> None:
    index = make_index()
    index.add(unit_vectors(random, 3), np.array([7, 8, 9]))
    similarities, ids = index.search(unit_vectors(random, 2), 5)
    assert np.sort(ids, axis=1).tolist() == [[-1, -1, 7, 8, 9]] * 2
    assert np.isneginf(similarities[:, 3:]).all()
    assert np.isfinite(similarities[:, :3]).all()


def test_empty_index_and_no_query(make_index: MakeIndex, random: np.random.Generator) -> None:
    index = make_index()
    similarities, ids = index.search(unit_vectors(random, 2), 3)
    assert (ids == -1).all()
    assert np.isneginf(similarities).all()
    index.add(unit_vectors(random, 3), np.arange(3))
    assert index.search(np.zeros((0, DIM), np.float32), 3)[1].shape == (0, 3)


def test_float16_vectors_as_a_map_keeps_them(make_index: MakeIndex, random: np.random.Generator) -> None:
    vectors = unit_vectors(random, 20).astype(np.float16)
    index = make_index()
    index.add(vectors, np.arange(20))
    assert index.search(vectors, 1)[1][:, 0].tolist() == list(range(20))


@pytest.mark.parametrize(("shape", "num_ids"), [((4, DIM + 1), 4), ((DIM,), 1), ((4, DIM), 3)])
def test_wrong_shapes_are_refused(make_index: MakeIndex, shape: tuple[int, ...], num_ids: int) -> None:
    with pytest.raises(GeometryError, match="vector index: expected"):
        make_index().add(np.zeros(shape, np.float32), np.arange(num_ids))


def test_many_vectors_are_searched_by_a_graph(random: np.random.Generator) -> None:
    pytest.importorskip("faiss")
    vectors, queries = unit_vectors(random, 2000), unit_vectors(random, 50)
    exact, graph = VectorIndex(DIM), VectorIndex(DIM, max_flat=999)
    for part in np.array_split(np.arange(2000), 4):
        exact.add(vectors[part], part)
        graph.add(vectors[part], part)
    assert isinstance(graph._backend, vector_index._FaissGraph)
    expected, found = exact.search(queries, 10)[1], graph.search(queries, 10)[1]
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(expected, found, strict=True)])
    assert recall >= MIN_GRAPH_RECALL


def test_numpy_is_used_where_faiss_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index.importlib.util, "find_spec", lambda _: None)
    assert isinstance(VectorIndex(DIM)._backend, NumpyBackend)
