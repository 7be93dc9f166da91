# SPDX-License-Identifier: Apache-2.0
"""What goes into a network and comes out of it, checked against what its graph says: names, types, shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xover_core.errors import BackendUnavailableError, ModelError
from xover_core.inference.model_graph import ModelGraph
from xover_core.inference.session import Arrays, TensorSpec

Lengths = dict[str, int]
"""Length of each axis that may change, by name."""
Shapes = dict[str, tuple[int, ...]]


def read_lengths(graph: ModelGraph, inputs: Arrays) -> Lengths:
    """Lengths of the axes that may change, from checked inputs.

    Raises:
        ModelError: a name, type or shape is not what the graph says, or an array is not C-contiguous.
    """
    expected = [spec.name for spec in graph.inputs]
    if set(inputs) != set(expected):
        raise ModelError(f"network {graph.name!r}: expected inputs {expected}, got {sorted(inputs)}.")
    for spec in graph.inputs:
        array = inputs[spec.name]
        if array.dtype != np.dtype(spec.dtype) or not array.flags.c_contiguous:
            order = "" if array.flags.c_contiguous else ", not C-contiguous"
            raise ModelError(
                f"network {graph.name!r}, input {spec.name}: expected C-contiguous {spec.dtype}, got"
                f" {array.dtype}{order}."
            )
    return lengths_of(graph, {spec.name: inputs[spec.name].shape for spec in graph.inputs})


def lengths_of(graph: ModelGraph, shapes: Shapes) -> Lengths:
    """Lengths of the axes that may change, from the shapes of all inputs by name.

    Raises:
        ModelError: a shape is not what the graph says.
    """
    lengths: Lengths = {}
    for spec in graph.inputs:
        if not _bind(spec, shapes[spec.name], lengths):
            known = ", ".join(f"{name} = {length}" for name, length in lengths.items())
            raise ModelError(
                f"network {graph.name!r}, input {spec.name}: expected shape {describe_shape(spec)}, got"
                f" {shapes[spec.name]}{f' where {known}' if known else ''}."
            )
    return lengths


def shapes_for(specs: Sequence[TensorSpec], lengths: Mapping[str, int]) -> Shapes:
    """Shapes of tensors by name; KeyError for an axis whose length is not known."""
    return {spec.name: tuple(_length(axis, lengths) for axis in spec.shape) for spec in specs}


def check_outputs(graph: ModelGraph, lengths: Mapping[str, int], outputs: Arrays, library: str) -> None:
    """Raise BackendUnavailableError when a library's outputs have not the shapes that the graph says.

    It happens: a runtime whose shapes are wrong for some inputs gives empty arrays, and no error.
    """
    for spec in graph.outputs:
        if not set(_names_in(spec)) <= set(lengths):
            continue  # as long as its contents ask for
        expected, found = shapes_for([spec], lengths)[spec.name], outputs[spec.name].shape
        if found != expected:
            raise BackendUnavailableError(
                f"network {graph.name!r}: {library} gave {spec.name} of shape {found}, expected {expected}; set"
                " inference.backend to another one."
            )


def describe_shape(spec: TensorSpec) -> str:
    """Such as `(batch, 3, 8*rows)`."""
    return f"({', '.join(str(axis) for axis in spec.shape)})"


def _bind(spec: TensorSpec, shape: tuple[int, ...], lengths: Lengths) -> bool:
    """Put the lengths that a shape tells into `lengths`; False where it does not fit."""
    if len(shape) != len(spec.shape):
        return False
    for axis, length in zip(spec.shape, shape, strict=True):
        factor, names = _factors(axis)
        if len(names) > 1:
            raise ModelError(f"input {spec.name}: axis {axis!r} is of several lengths, which only outputs can have.")
        whole, rest = divmod(length, factor)
        if rest or (whole != 1 if not names else lengths.setdefault(names[0], whole) != whole):
            return False
    return True


def _length(axis: int | str, lengths: Mapping[str, int]) -> int:
    factor, names = _factors(axis)
    for name in names:
        factor *= lengths[name]
    return factor


def _names_in(spec: TensorSpec) -> list[str]:
    """Axes that a tensor's shape depends on."""
    return [name for axis in spec.shape for name in _factors(axis)[1]]


def _factors(axis: int | str) -> tuple[int, list[str]]:
    """The number and the names in `8*rows`."""
    parts = str(axis).split("*")
    numbers = [int(part) for part in parts if part.isdecimal()]
    return int(np.prod(numbers, dtype=np.int64)), [part for part in parts if not part.isdecimal()]
