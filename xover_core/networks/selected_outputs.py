# SPDX-License-Identifier: Apache-2.0
"""A network with some of its outputs only."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class SelectedOutputs(nn.Module):
    """Gives some outputs of another network; all of them are computed."""

    def __init__(self, network: nn.Module, indices: Sequence[int]) -> None:
        """Use a network that gives a tuple, of which these places are wanted."""
        super().__init__()
        self.network = network
        self.indices = tuple(indices)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the network gives at the places that are wanted."""
        outputs = self.network(*inputs)
        return tuple(outputs[index] for index in self.indices)
