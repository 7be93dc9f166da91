# SPDX-License-Identifier: Apache-2.0
"""Leaves out what a wanted output of an ONNX file does not need: ONNX Runtime computes all that is in the file.

Works on the file's own encoding (protocol buffers), since the library `onnx` is not needed to run a model. A message is
a row of fields: number and kind, then a number or a length and so many bytes, which may be a message again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from xover_core.errors import ModelError

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _GRAPH_VALUE = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS = (6, 11)
_NAME_OF = {_GRAPH_INITIALIZER: 8, _GRAPH_OUTPUT: 1, _GRAPH_VALUE: 1}
# Kinds of fields: a number, 8 bytes, bytes with their length before, 4 bytes.
_NUMBER, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: its number, its contents where they are bytes, and all of it as it stands in the file; no copies."""

    number: int
    contents: memoryview
    whole: memoryview


def keep_outputs(model: bytes, names: Collection[str]) -> bytes:
    """The model with these outputs only, and without what they do not need.

    Args:
        model: contents of an ONNX file.
        names: of outputs, at least one; the order stays that of the file.

    Raises:
        ModelError: no such output, or no such file.
    """
    try:
        return b"".join(
            _encode(_MODEL_GRAPH, _prune(field.contents, names)) if field.number == _MODEL_GRAPH else field.whole
            for field in _fields(memoryview(model))
        )
    except (IndexError, ValueError) as error:
        raise ModelError(f"ONNX file of {len(model)} bytes: damaged, {error}; export it again.") from error


def _prune(graph: memoryview, names: Collection[str]) -> bytes:
    """The contents of a graph with these outputs."""
    fields = list(_fields(graph))
    found = {_name_of(field) for field in fields if field.number == _GRAPH_OUTPUT}
    if not names or not set(names) <= found:
        raise ModelError(f"ONNX file: expected outputs {sorted(names)}, it has {sorted(found)}; export it again.")
    needed, used_nodes = set(names), set()
    # nodes stand in the order in which they are computed
    for index in reversed(range(len(fields))):
        if fields[index].number == _GRAPH_NODE and needed & set(_texts(fields[index].contents, _NODE_OUTPUT)):
            used_nodes.add(index)
            needed |= _needs(fields[index].contents)
    return b"".join(
        field.whole for index, field in enumerate(fields) if _is_kept(field, index in used_nodes, needed, names)
    )


def _is_kept(field: _Field, is_used: bool, needed: Collection[str], outputs: Collection[str]) -> bool:
    """Whether a field of a graph stays."""
    if field.number == _GRAPH_NODE:
        return is_used
    if field.number == _GRAPH_OUTPUT:
        return _name_of(field) in outputs
    return field.number not in _NAME_OF or _name_of(field) in needed


def _needs(node: memoryview) -> set[str]:
    """Names of the values that a node reads; those of its inner graphs too, which see the outer ones."""
    needed = set(_texts(node, _NODE_INPUT))
    for attribute in (field.contents for field in _fields(node) if field.number == _NODE_ATTRIBUTE):
        for graph in (field.contents for field in _fields(attribute) if field.number in _ATTRIBUTE_GRAPHS):
            for field in _fields(graph):
                if field.number == _GRAPH_NODE:
                    needed |= _needs(field.contents)
                elif field.number == _GRAPH_OUTPUT:
                    needed.add(_name_of(field))
    return needed


def _name_of(field: _Field) -> str:
    return next(iter(_texts(field.contents, _NAME_OF[field.number])), "")


def _texts(message: memoryview, number: int) -> list[str]:
    """All texts of a message under one number."""
    return [str(field.contents, "utf-8") for field in _fields(message) if field.number == number]


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message, in order."""
    position = 0
    while position < len(message):
        start = position
        key, position = _number(message, position)
        number, kind = key >> 3, key & 7
        begin = position
        if kind == _NUMBER:
            _, position = _number(message, position)
        elif kind == _BYTES:
            length, begin = _number(message, position)
            position = begin + length
        elif kind in (_EIGHT, _FOUR):
            position += 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if position > len(message):
            raise ValueError("a field that is longer than its message")
        yield _Field(number, message[begin:position] if kind == _BYTES else message[:0], message[start:position])


def _number(message: memoryview, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _encode(number: int, contents: bytes) -> bytes:
    """A field of bytes."""
    return _varint(number << 3 | _BYTES) + _varint(len(contents)) + contents


def _varint(value: int) -> bytes:
    """A number as it stands in a message."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
