# SPDX-License-Identifier: Apache-2.0
"""Multinomial logistic regression: one linear layer under a softmax, to the minimum of its convex loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from xover_core.types import Float32Array, Float64Array

# Rows whose logits are held at a time.
_BLOCK = 4096
# Weight decay that only keeps separable data from running to infinity; the mean loss is of the order of 1.
_DECAY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearClassifier:
    """x -> x @ weights + biases.

    Attributes:
        weights: (D, K) float32.
        biases: (K,) float32.
    """

    weights: Float32Array
    biases: Float32Array

    def logits(self, features: Float32Array) -> Float32Array:
        """(N, K) of (N, D)."""
        return np.asarray(features @ self.weights + self.biases, np.float32)


def fit_classifier(
    features: Float32Array, labels: NDArray[np.int64], num_classes: int, max_iterations: int
) -> LinearClassifier:
    """Minimise the mean cross-entropy by L-BFGS, from zero: the same data give the same classifier.

    Args:
        features: (N, D), N > 0.
        labels: (N,) in [0, num_classes).
        num_classes: K.
        max_iterations: at most.
    """
    size = (features.shape[1] + 1, num_classes)
    found = minimize(
        cross_entropy,
        np.zeros(size[0] * size[1]),
        args=(features, labels, num_classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations},
    )
    parameters = found.x.reshape(size).astype(np.float32)
    return LinearClassifier(weights=parameters[:-1], biases=parameters[-1])


def cross_entropy(
    parameters: Float64Array, features: Float32Array, labels: NDArray[np.int64], num_classes: int
) -> tuple[float, Float64Array]:
    """Mean cross-entropy with weight decay, and its gradient.

    Args:
        parameters: ((D + 1) * K,), weights row by row, then biases.
        features: (N, D).
        labels: (N,).
        num_classes: K.
    """
    matrix = parameters.reshape(-1, num_classes)
    small = matrix.astype(np.float32)
    loss, gradient = 0.0, np.zeros_like(matrix)
    for start in range(0, len(features), _BLOCK):
        x, y = features[start : start + _BLOCK], labels[start : start + _BLOCK]
        logits = x @ small[:-1] + small[-1]
        logits -= logits.max(axis=1, keepdims=True)
        rows = np.arange(len(y))
        right = logits[rows, y].astype(np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(axis=1, keepdims=True)
        loss += float((np.log(total[:, 0], dtype=np.float64) - right).sum())
        logits /= total
        logits[rows, y] -= 1
        gradient[:-1] += x.T @ logits
        gradient[-1] += logits.sum(axis=0)
    gradient = gradient / len(features) + _DECAY * matrix
    return loss / len(features) + 0.5 * _DECAY * float((matrix**2).sum()), gradient.ravel()
