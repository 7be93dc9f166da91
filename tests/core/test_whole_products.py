# SPDX-License-Identifier: Apache-2.0
"""Products of whole numbers by ONNX Runtime, and the file that is written for it by hand."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from xover_core.errors import BackendUnavailableError
from xover_core.inference.whole_products import (
    LARGEST_LEFT,
    LARGEST_RIGHT,
    ZERO,
    WholeProducts,
    product_model,
    to_left,
    to_right,
)

# Of a cosine of 128 dimensions: both vectors are rounded, to 1/127 and to 1/63 of their largest number.
ROUNDING = 0.02


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def products() -> WholeProducts:
    pytest.importorskip("onnxruntime")
    return WholeProducts()


def multiply(products: WholeProducts, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    out = np.empty((left.shape[0], right.shape[1]), np.int32)
    products.multiply(left, right, out)
    return out


def test_the_model_is_an_onnx_file_with_one_operation() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(product_model())
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["MatMulInteger"]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 128, 5), (70, 33, 41), (130, 128, 257)])
def test_products_are_exact(products: WholeProducts, random: np.random.Generator, shape: tuple[int, int, int]) -> None:
    rows, depth, cols = shape
    left = random.integers(1, 256, (rows, depth)).astype(np.uint8)
    right = random.integers(-LARGEST_RIGHT, LARGEST_RIGHT + 1, (depth, cols)).astype(np.int8)
    expected = (left.astype(np.int64) - ZERO) @ right.astype(np.int64)
    np.testing.assert_array_equal(multiply(products, left, right), expected)


def test_the_largest_numbers_fit(products: WholeProducts) -> None:
    left = np.full((4, 512), ZERO + LARGEST_LEFT, np.uint8)
    right = np.full((512, 4), -LARGEST_RIGHT, np.int8)
    assert (multiply(products, left, right) == -512 * LARGEST_LEFT * LARGEST_RIGHT).all()


def test_products_of_rounded_vectors_are_near_those_of_the_vectors(
    products: WholeProducts, random: np.random.Generator
) -> None:
    a, b = unit(random.normal(size=(60, 128))), unit(random.normal(size=(50, 128)))
    scale = LARGEST_LEFT / np.abs(a).max() * LARGEST_RIGHT / np.abs(b).max()
    np.testing.assert_allclose(multiply(products, to_left(a), to_right(b)) / scale, a @ b.T, atol=ROUNDING)


def test_zeros_stay_zeros_and_the_largest_number_is_reached() -> None:
    assert (to_left(np.zeros((3, 4), np.float32)) == ZERO).all()
    assert (to_right(np.zeros((3, 4), np.float32)) == 0).all()
    rows = np.array([[0.5, -0.25, 0.0]], np.float32)
    np.testing.assert_array_equal(to_left(rows), [[ZERO + LARGEST_LEFT, ZERO - 64, ZERO]])
    np.testing.assert_array_equal(to_right(rows)[:, 0], [LARGEST_RIGHT, -32, 0])


def test_no_rows_are_no_problem() -> None:
    assert to_left(np.zeros((0, 4), np.float32)).shape == (0, 4)
    assert to_right(np.zeros((0, 4), np.float32)).shape == (4, 0)


def test_threads_do_not_disturb_each_other(products: WholeProducts, random: np.random.Generator) -> None:
    jobs = [(random.normal(size=(90, 128)), random.normal(size=(80, 128))) for _ in range(12)]
    ready = [(to_left(unit(a)), to_right(unit(b))) for a, b in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: multiply(products, *job), ready))
    for (left, right), product in zip(ready, found, strict=True):
        np.testing.assert_array_equal(product, (left.astype(int) - ZERO) @ right.astype(int))


def test_without_onnx_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match="pip install onnxruntime"):
        WholeProducts()
