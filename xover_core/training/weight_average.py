# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averages the trained parameters; everything else of the network stays as it is."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the network's weights; a decay of 0 makes the average equal to them always."""
        self._decay = decay
        self._parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._averages = {name: p.detach().clone() for name, p in self._parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0; early ones weigh more, so that the start is forgotten."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        for name, average in self._averages.items():
            average.lerp_(self._parameters[name], weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the network has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @property
    def state(self) -> dict[str, Tensor]:
        """Averages by parameter name; empty without averaging."""
        return self._averages

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over averages of exactly these parameters."""
        for name, average in self._averages.items():
            average.copy_(state[name])

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchange weights and averages; the parameters stay the same objects."""
        for name, average in self._averages.items():
            parameter = self._parameters[name]
            weights = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(weights)
