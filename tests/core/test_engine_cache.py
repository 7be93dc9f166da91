# SPDX-License-Identifier: Apache-2.0
"""Engines on disk: found again, never taken when foreign, stale or damaged, never half written."""

from __future__ import annotations

import dataclasses
import json

import pytest
from fake_tensorrt import RTX

from xover_core.inference import engine_cache
from xover_core.inference.cuda_devices import CudaDevice
from xover_core.inference.engine_axes import AxisRange
from xover_core.inference.engine_cache import EngineCache, make_engine_key

ENGINE = b"an engine" * 100
PROFILE = (AxisRange(name="rows", least=1, usual=30, most=60),)


def key_of(**changes):
    fields = {
        "graph": "locus-compact",
        "weights_sha256": "a" * 64,
        "model": b"onnx",
        "precision": "fp16",
        "profile": PROFILE,
        "gpu": RTX,
        "tensorrt": "11.4.0.106",
    }
    return make_engine_key(**(fields | changes))


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "engines")


def files(cache):
    return sorted(path.name for path in cache._folder.iterdir())


def test_what_was_stored_is_found_under_a_name_that_says_what_it_is(cache):
    key = key_of()
    assert cache.load(key) is None
    cache.store(key, ENGINE)
    assert cache.load(key) == ENGINE
    stem = f"locus-compact-{key.content_sha256[:16]}-NVIDIA-GeForce-RTX-4090-sm8.9-trt11.4.0.106"
    assert files(cache) == [f"{stem}.engine", f"{stem}.json"]
    told = json.loads((cache._folder / f"{stem}.json").read_text())
    assert told["gpu"] == "NVIDIA GeForce RTX 4090"
    assert told["num_bytes"] == len(ENGINE)


@pytest.mark.parametrize(
    "changes",
    [
        {"graph": "locus-compact.other"},
        {"weights_sha256": "b" * 64},
        {"model": b"onnx2"},
        {"precision": "fp32"},
        {"profile": (dataclasses.replace(PROFILE[0], most=61),)},
        {"profile": ()},
        {"gpu": CudaDevice(index=0, name="Orin", compute_capability=(8, 9))},
        {"gpu": CudaDevice(index=0, name=RTX.name, compute_capability=(8, 7))},
        {"tensorrt": "11.4.0.107"},
    ],
)
def test_another_of_anything_is_another_key(cache, changes):
    cache.store(key_of(), ENGINE)
    other = key_of(**changes)
    assert other != key_of()
    assert other.stem != key_of().stem
    assert cache.load(other) is None


def test_the_same_gpu_at_another_place_is_the_same_key():
    assert key_of(gpu=dataclasses.replace(RTX, index=3)) == key_of()


def test_an_engine_of_another_gpu_under_this_name_is_refused(cache, caplog):
    foreign = key_of(gpu=CudaDevice(index=0, name="Orin", compute_capability=(8, 7)), tensorrt="10.3")
    cache.store(foreign, ENGINE)
    for suffix in ("engine", "json"):
        (cache._folder / f"{foreign.stem}.{suffix}").rename(cache._folder / f"{key_of().stem}.{suffix}")
    assert cache.load(key_of()) is None
    assert "is built again: it was built for another gpu, compute_capability, tensorrt" in caplog.text


@pytest.mark.parametrize("damaged", [ENGINE[:-1], ENGINE[:-1] + b"?", b""])
def test_a_damaged_engine_is_refused(cache, caplog, damaged):
    cache.store(key_of(), ENGINE)
    (cache._folder / f"{key_of().stem}.engine").write_bytes(damaged)
    assert cache.load(key_of()) is None
    assert "is damaged, its checksum is another one" in caplog.text
    cache.store(key_of(), ENGINE)
    assert cache.load(key_of()) == ENGINE


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\xff"])
def test_a_damaged_sidecar_is_refused(cache, caplog, text):
    cache.store(key_of(), ENGINE)
    (cache._folder / f"{key_of().stem}.json").write_text(text, encoding="latin-1")
    assert cache.load(key_of()) is None
    assert "is built again" in caplog.text


@pytest.mark.parametrize("suffix", ["engine", "json"])
def test_half_of_a_pair_is_nothing(cache, suffix):
    cache.store(key_of(), ENGINE)
    (cache._folder / f"{key_of().stem}.{suffix}").unlink()
    assert cache.load(key_of()) is None


def test_a_write_that_fails_leaves_the_old_engine_and_nothing_else(cache, monkeypatch, caplog):
    cache.store(key_of(), ENGINE)
    before = files(cache)

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(engine_cache.os, "replace", fail)
    cache.store(key_of(), b"new")
    assert cache.load(key_of()) == ENGINE
    assert files(cache) == before
    assert "no space left on device" in caplog.text
    assert "inference.cache_folder" in caplog.text


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    blocked = EngineCache(tmp_path / "file" / "engines")
    blocked.store(key_of(), ENGINE)
    assert blocked.load(key_of()) is None
    assert "cannot be written" in caplog.text


def test_timings_are_of_one_gpu_and_one_version(cache):
    assert cache.load_timings(RTX, "11.4") == b""
    cache.store_timings(RTX, "11.4", b"timed")
    assert cache.load_timings(RTX, "11.4") == b"timed"
    assert cache.load_timings(RTX, "11.5") == b""
    assert cache.load_timings(CudaDevice(index=0, name="Orin", compute_capability=(8, 7)), "11.4") == b""
