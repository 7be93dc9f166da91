# SPDX-License-Identifier: Apache-2.0
"""Tests of the vector index: FAISS, NumPy and the graph against the full matrix of similarities."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from xover_core.errors import GeometryError
from xover_core.landmark_map import vector_backends
from xover_core.landmark_map.vector_backends import MAX_GRAPH_VECTORS, IndexKind, choose_kind
from xover_core.landmark_map.vector_index import IndexFile, VectorIndex, index_of

DIM = 16
# Products of 16 float32 numbers, summed in another order.
SIMILARITY_TOLERANCE = 1e-6
# Share of the true nearest vectors that an approximate search has to find, where half of them are of no cluster.
MIN_RECALL = {IndexKind.GRAPH: 0.95, IndexKind.LISTS: 0.4}

MakeIndex = Callable[[], VectorIndex]


@pytest.fixture(params=["faiss", "numpy"])
def make_index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeIndex:
    if request.param == "numpy":
        monkeypatch.setattr(vector_backends, "has_faiss", lambda: False)
    else:
        pytest.importorskip("faiss")
    return lambda: VectorIndex(DIM)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def unit_vectors(random: np.random.Generator, num: int) -> NDArray[np.float32]:
    return unit(random.normal(size=(num, DIM)).astype(np.float32))


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


@pytest.mark.parametrize(("kind", "max_graph_mb"), [(IndexKind.GRAPH, 2000.0), (IndexKind.LISTS, 0.0)])
def test_many_vectors_are_searched_approximately(
    random: np.random.Generator, kind: IndexKind, max_graph_mb: float
) -> None:
    pytest.importorskip("faiss")
    vectors, queries = unit_vectors(random, 4000), unit_vectors(random, 50)
    # lists hold what is alike
    vectors[:2000] = unit(vectors[random.integers(0, 40, 2000)] + 0.1 * vectors[:2000])
    exact, index = VectorIndex(DIM), VectorIndex(DIM, max_flat=999, max_graph_mb=max_graph_mb)
    for part in np.array_split(np.arange(4000), 4):
        exact.add(vectors[part], part)
        index.add(vectors[part], part)
    assert (exact.kind, index.kind) == (IndexKind.FLAT, kind)
    expected, found = exact.search(queries, 10)[1], index.search(queries, 10)[1]
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(expected, found, strict=True)])
    assert recall >= MIN_RECALL[kind]


def test_how_vectors_are_searched_depends_on_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(num: int, *, gpu: bool = False, memory_mb: float = 2000.0) -> IndexKind:
        monkeypatch.setattr(vector_backends, "has_gpu", lambda: gpu)
        return choose_kind(num, 64, max_flat=100_000, max_memory_mb=memory_mb)

    monkeypatch.setattr(vector_backends, "has_faiss", lambda: True)
    assert [kind(n) for n in (0, 100_000, 100_001)] == [IndexKind.FLAT, IndexKind.FLAT, IndexKind.GRAPH]
    assert kind(100_001, memory_mb=50.0) is IndexKind.LISTS
    assert kind(MAX_GRAPH_VECTORS + 1) is IndexKind.LISTS
    assert [kind(n, gpu=True) for n in (1_000_000, 1_000_001)] == [IndexKind.FLAT, IndexKind.LISTS]
    monkeypatch.setattr(vector_backends, "has_faiss", lambda: False)
    assert kind(10_000_000) is IndexKind.NUMPY


class FakeFaiss:
    """FAISS's border to a GPU: an index there is the same index, marked."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.on_gpu: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_num_gpus(self) -> int:
        return 1

    def StandardGpuResources(self) -> str:  # noqa: N802
        return "resources"

    def index_cpu_to_gpu(self, resources: str, device: int, index: Any) -> Any:
        assert (resources, device) == ("resources", 0)
        self.on_gpu.append(index)
        return index

    def index_gpu_to_cpu(self, index: Any) -> Any:
        assert any(index is other for other in self.on_gpu)
        return index


def test_a_gpu_is_used_where_faiss_can(
    monkeypatch: pytest.MonkeyPatch, random: np.random.Generator, tmp_path: Path
) -> None:
    fake = FakeFaiss(pytest.importorskip("faiss"))
    monkeypatch.setitem(sys.modules, "faiss", fake)
    monkeypatch.setattr(vector_backends, "MAX_FLAT_ON_GPU", 200)
    vector_backends.has_gpu.cache_clear()
    vector_backends._gpu_resources.cache_clear()
    try:
        vectors = unit_vectors(random, 2000)
        index = VectorIndex(DIM, max_flat=100)
        index.add(vectors[:150], np.arange(150))
        assert (index.kind, len(fake.on_gpu)) == (IndexKind.FLAT, 1)
        index.add(vectors[150:], np.arange(150, 2000))
        assert (index.kind, len(fake.on_gpu)) == (IndexKind.LISTS, 2)
        assert index.search(vectors[:20], 1)[1][:, 0].tolist() == list(range(20))
        file = IndexFile(path=tmp_path / "i", map_id="m", revision=1, vectors_crc32=2)
        index.save(file)
        again = VectorIndex(DIM, max_flat=100)
        assert again.load(file)
        assert again.search(vectors[:20], 1)[1][:, 0].tolist() == list(range(20))
    finally:
        vector_backends.has_gpu.cache_clear()
        vector_backends._gpu_resources.cache_clear()


def test_without_faiss_numpy_searches_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    vector_backends.has_faiss.cache_clear()
    monkeypatch.setattr(vector_backends.importlib.util, "find_spec", lambda _: None)
    try:
        assert [VectorIndex(DIM).kind for _ in range(3)] == [IndexKind.NUMPY] * 3
    finally:
        vector_backends.has_faiss.cache_clear()
    assert len([r for r in caplog.records if "faiss is not installed" in r.message]) == 1


@pytest.fixture
def index_file(tmp_path: Path) -> IndexFile:
    return IndexFile(path=tmp_path / "map.index", map_id="a map", revision=3, vectors_crc32=17)


@pytest.mark.parametrize("kind", [IndexKind.NUMPY, IndexKind.FLAT, IndexKind.GRAPH, IndexKind.LISTS])
def test_a_kept_index_answers_as_before(
    monkeypatch: pytest.MonkeyPatch, random: np.random.Generator, index_file: IndexFile, kind: IndexKind
) -> None:
    if kind is IndexKind.NUMPY:
        monkeypatch.setattr(vector_backends, "has_faiss", lambda: False)
    else:
        pytest.importorskip("faiss")

    def new() -> VectorIndex:
        sizes = {IndexKind.GRAPH: (10, 2000.0), IndexKind.LISTS: (10, 0.0)}
        max_flat, max_graph_mb = sizes.get(kind, (10_000, 0.0))
        return VectorIndex(DIM, max_flat=max_flat, max_graph_mb=max_graph_mb)

    vectors, ids = unit_vectors(random, 1000), np.arange(1000) + 7
    index, again = new(), new()
    index.add(vectors, ids)
    assert index.kind is kind
    index.save(index_file)
    assert again.load(index_file)
    for got, expected in zip(again.search(vectors[:30], 4), index.search(vectors[:30], 4), strict=True):
        np.testing.assert_array_equal(got, expected)
    extra = unit_vectors(random, 1)
    again.add(extra, np.array([5]))
    assert again.search(extra, 1)[1].tolist() == [[5]], "what was mapped from a file can be added to"


@pytest.mark.parametrize("change", [{"map_id": "another"}, {"revision": 4}, {"vectors_crc32": 18}])
def test_a_stale_index_is_not_used(random: np.random.Generator, index_file: IndexFile, change: dict[str, Any]) -> None:
    index = VectorIndex(DIM)
    index.add(unit_vectors(random, 20), np.arange(20))
    index.save(index_file)
    assert VectorIndex(DIM).load(index_file)
    assert not VectorIndex(DIM).load(dataclasses.replace(index_file, **change))
    assert not VectorIndex(DIM + 1).load(index_file)


@pytest.mark.parametrize("suffix", ["", ".npz"])
def test_a_damaged_or_missing_index_is_not_used(
    random: np.random.Generator, index_file: IndexFile, suffix: str
) -> None:
    index = VectorIndex(DIM)
    index.add(unit_vectors(random, 200), np.arange(200))
    index.save(index_file)
    path = index_file.path.with_name(index_file.path.name + suffix)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 255]))
    assert not VectorIndex(DIM).load(index_file)
    path.unlink()
    assert not VectorIndex(DIM).load(index_file)


def test_only_what_takes_long_to_make_is_kept(random: np.random.Generator, index_file: IndexFile) -> None:
    pytest.importorskip("faiss")
    vectors = unit_vectors(random, 1000)
    index_of(vectors, index_file)
    assert not index_file.path.exists()
    first = index_of(vectors, index_file, max_flat=100)
    written = index_file.path.stat().st_mtime_ns
    second = index_of(vectors, index_file, max_flat=100)
    assert index_file.path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(second.search(vectors[:9], 3)[1], first.search(vectors[:9], 3)[1])
    nowhere = dataclasses.replace(index_file, path=index_file.path / "no folder" / "index")
    assert len(index_of(vectors, nowhere, max_flat=100)) == 1000
