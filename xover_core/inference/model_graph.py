# SPDX-License-Identifier: Apache-2.0
"""A part of a model that runs as one: what is exported, compared between backends, and timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xover_core.inference.session import Arrays, TensorSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGraph:
    """One network of a model, in torch, with what others need to know of it.

    Attributes:
        name: `model` or `model.part`, such as `locus-compact` and `crossover-light.views`; also of exported files.
        module: makes a network in evaluation mode on the CPU, whose `forward` takes the inputs in order and gives a
            tuple of the outputs in order. Called late: a backend that runs an exported file never makes it.
        inputs: in order.
        outputs: in order.
        examples: inputs to compare backends on; different sizes where axes may change. Seeded. In the first, no axis
            that may change has a length of 1.
        weights_sha256: of the file that the weights come from; of their values where there is no file.
        tolerance: largest difference of a number of an output between torch and another backend in fp32, by reason
            of sums in another order; half precision and int8 are judged by the accuracy of the whole task instead.
        axes: shortest and longest length of each axis whose length may change, by name.
        reducible: parts of the module, as `named_modules` calls them, that may compute in half precision or int8; all
            of it when empty.
    """

    name: str
    module: Callable[[], nn.Module]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    examples: Callable[[], Iterator[Arrays]]
    weights_sha256: str
    tolerance: float
    axes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    reducible: tuple[str, ...] = ()
