# SPDX-License-Identifier: Apache-2.0
"""PCA with whitening: what it does to statistics, and its serialised form."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save

from xover_core.encoders.whitening import Whitening, WhiteningFitter
from xover_core.errors import ModelError

DIM, REDUCED = 12, 5
# float32 projections of some thousand samples
TOLERANCE = 2e-3


@pytest.fixture
def samples(random):
    """(4000, 12) correlated, with a mean far from zero and standard deviations of 1 to 4."""
    mixing = np.linalg.qr(random.normal(size=(DIM, DIM)))[0] * np.linspace(4, 1, DIM)
    return (random.normal(size=(4000, DIM)) @ mixing.T + random.uniform(1, 3, DIM)).astype(np.float32)


@pytest.fixture
def whitening(samples):
    return fit(samples)


def fit(samples: np.ndarray, dim: int = REDUCED) -> Whitening:
    fitter = WhiteningFitter(samples.shape[1])
    fitter.add(samples)
    return fitter.fit(dim)


def test_whitened_covariance_is_the_identity(samples, whitening):
    projected = (samples - whitening.mean) @ whitening.basis
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=TOLERANCE)
    np.testing.assert_allclose(projected.T @ projected / len(projected), np.eye(REDUCED), atol=TOLERANCE)


def test_the_directions_of_most_variance_are_kept(samples, whitening):
    _, _, vt = np.linalg.svd(samples - samples.mean(axis=0), full_matrices=False)
    unit = whitening.basis / np.linalg.norm(whitening.basis, axis=0)
    np.testing.assert_allclose(np.abs(vt[:REDUCED] @ unit), np.eye(REDUCED), atol=0.01)


def test_fitting_in_parts_is_fitting_at_once(samples, whitening):
    fitter = WhiteningFitter(DIM)
    for part in np.array_split(samples, 7):
        fitter.add(part)
    assert fitter.count == len(samples)
    np.testing.assert_allclose(fitter.fit(REDUCED).basis, whitening.basis, atol=1e-4)


def test_the_sign_of_directions_is_fixed(samples, whitening):
    # the mirrored samples have the same covariance
    mirrored = fit(2 * samples.mean(axis=0) - samples)
    np.testing.assert_allclose(mirrored.basis, whitening.basis, atol=1e-4)


def test_rows_without_content_do_not_count(samples, whitening):
    with_blanks = np.concatenate([samples, np.zeros((3000, DIM), np.float32)])
    np.testing.assert_allclose(fit(with_blanks).basis, whitening.basis, atol=1e-6)


def test_application_normalises_and_keeps_blank_rows_blank(samples, whitening):
    samples[3] = 0
    result = whitening.apply(samples)
    assert result.dtype == np.float32
    assert result.shape == (len(samples), REDUCED)
    assert not result[3].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(result, 3, axis=0), axis=1), 1, atol=1e-5)


def test_no_rows_give_no_rows(whitening):
    assert whitening.apply(np.zeros((0, DIM), np.float32)).shape == (0, REDUCED)


def test_directions_without_variance_are_not_blown_up(samples):
    samples[:, 0] = 1.0
    basis = fit(samples, DIM).basis
    assert np.isfinite(basis).all()
    # the smallest is held at 1e-4 of the largest variance, so a factor of 100 in standard deviation
    lengths = np.linalg.norm(basis, axis=0)
    assert lengths.max() / lengths.min() < 101


def test_identical_rows_give_finite_weights():
    assert np.isfinite(fit(np.ones((50, DIM), np.float32)).basis).all()


@pytest.mark.parametrize("count", [0, DIM])
def test_too_few_rows_are_refused(count):
    with pytest.raises(ModelError, match=f"more than {DIM} descriptors to fit to, got {count}"):
        fit(np.ones((count, DIM), np.float32))


def test_bytes_restore_the_same_whitening(samples, whitening):
    restored = Whitening.from_bytes(whitening.to_bytes())
    np.testing.assert_array_equal(restored.mean, whitening.mean)
    np.testing.assert_array_equal(restored.basis, whitening.basis)
    assert restored.checksum == whitening.checksum
    np.testing.assert_allclose(restored.apply(samples), whitening.apply(samples), atol=1e-6)


def test_checksum_changes_with_any_value(whitening):
    changed = whitening.basis.copy()
    changed[0, 0] += 1e-3
    assert Whitening(mean=whitening.mean, basis=changed).checksum != whitening.checksum


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no safetensors at all",
        save({"mean": np.zeros(3, np.float32)}),
        save({"mean": np.zeros(3, np.float32), "basis": np.zeros((4, 2), np.float32)}),
        save({"mean": np.zeros((3, 1), np.float32), "basis": np.zeros((3, 2), np.float32)}),
        save({"mean": np.zeros(3, np.int32), "basis": np.zeros((3, 2), np.int32)}),
        save({"mean": np.zeros(3, np.float32), "basis": np.full((3, 2), np.nan, np.float32)}),
    ],
    ids=["empty", "text", "no basis", "lengths", "rank", "integers", "NaN"],
)
def test_bytes_of_something_else_are_refused(data):
    with pytest.raises(ModelError, match="whitening weights: expected"):
        Whitening.from_bytes(data)


def test_cut_off_bytes_are_refused(whitening):
    with pytest.raises(ModelError, match="whitening weights"):
        Whitening.from_bytes(whitening.to_bytes()[:-8])
