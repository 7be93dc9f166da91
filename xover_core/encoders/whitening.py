# SPDX-License-Identifier: Apache-2.0
"""PCA with whitening, fitted to descriptors of a site, kept as safetensors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import ModelError
from xover_core.types import Float32Array, Float64Array

# Directions whose variance is below this share of the largest are noise; whitening must not blow them up.
MIN_VARIANCE_SHARE = 1e-4
# Descriptors have unit norm, so less than this is rounding.
MIN_VARIANCE = 1e-12
_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whitening:
    """x -> normalise((x - mean) @ basis).

    Attributes:
        mean: (C,) float32.
        basis: (C, D) float32, columns are principal directions over the square root of their variance.
    """

    mean: Float32Array
    basis: Float32Array

    def apply(self, descriptors: Float32Array) -> Float32Array:
        """Project (N, C) to (N, D) and L2-normalise; rows of zeros stay zero."""
        projected = (descriptors - self.mean) @ self.basis
        projected[~descriptors.any(axis=1)] = 0
        norms = np.linalg.norm(projected, axis=1, keepdims=True)
        return np.asarray(projected / np.maximum(norms, 1e-12), dtype=np.float32)

    @property
    def checksum(self) -> str:
        """sha256 over mean and basis."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Serialise as safetensors."""
        from safetensors.numpy import save

        return save({"mean": self.mean, "basis": self.basis})

    @staticmethod
    def from_bytes(data: bytes) -> Whitening:
        """Restore from safetensors.

        Raises:
            ModelError: the bytes are no whitening.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(data)
            mean, basis = arrays["mean"], arrays["basis"]
        except (SafetensorError, KeyError, ValueError) as error:
            raise ModelError(f"whitening weights: expected safetensors with `mean` and `basis`: {error}.") from error
        if mean.ndim != 1 or basis.ndim != 2 or len(mean) != len(basis) or {mean.dtype, basis.dtype} != {_FLOAT32}:
            raise ModelError(
                f"whitening weights: expected float32 mean (C,) and basis (C, D), got {mean.dtype} {mean.shape} and"
                f" {basis.dtype} {basis.shape}."
            )
        if not (np.isfinite(mean).all() and np.isfinite(basis).all()):
            raise ModelError("whitening weights: expected finite values, got NaN or infinite ones.")
        return Whitening(mean=mean, basis=basis)


class WhiteningFitter:
    """Collects mean and covariance of descriptors, one image after the other."""

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._sum: Float64Array = np.zeros(dim)
        self._outer: Float64Array = np.zeros((dim, dim))

    def add(self, descriptors: NDArray[np.floating]) -> None:
        """Add (N, C) descriptors; rows of zeros (no content) do not count."""
        rows = descriptors[descriptors.any(axis=1)]
        self.count += len(rows)
        self._sum += rows.sum(axis=0, dtype=np.float64)
        self._outer += (rows.T @ rows).astype(np.float64)

    def fit(self, dim: int) -> Whitening:
        """Whitening to `dim` dimensions.

        Raises:
            ModelError: fewer descriptors than dimensions were added.
        """
        if self.count <= len(self._sum):
            raise ModelError(f"whitening: expected more than {len(self._sum)} descriptors to fit to, got {self.count}.")
        mean = self._sum / self.count
        covariance = self._outer / self.count - np.outer(mean, mean)
        variances, directions = np.linalg.eigh(covariance)
        variances, directions = variances[::-1][:dim], directions[:, ::-1][:, :dim]
        # eigenvectors have no sign of their own; fixing it makes fits repeatable across LAPACK versions
        directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(dim)])
        scale = np.sqrt(np.maximum(variances, max(MIN_VARIANCE_SHARE * variances[0], MIN_VARIANCE)))
        return Whitening(mean=mean.astype(np.float32), basis=(directions / scale).astype(np.float32))
