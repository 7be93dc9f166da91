# SPDX-License-Identifier: Apache-2.0
"""Shapes and metadata of a safetensors file, read without the library that its tensors are for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from xover_core.errors import ModelError

# The file begins with the length of its header, in bytes of JSON.
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetensorsHeader:
    """What a file holds.

    Attributes:
        shapes: of the tensors by name.
        metadata: as it was written.
    """

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


def read_header(contents: bytes, where: str) -> SafetensorsHeader:
    """The header of a file's contents.

    Args:
        contents: of the file, or of its beginning.
        where: what errors call it.

    Raises:
        ModelError: no such file, or damaged.
    """
    length = int.from_bytes(contents[:_LENGTH_BYTES], "little")
    try:
        rows = json.loads(contents[_LENGTH_BYTES : _LENGTH_BYTES + length])
        metadata = rows.pop("__metadata__", {})
        return SafetensorsHeader(shapes={key: tuple(row["shape"]) for key, row in rows.items()}, metadata=metadata)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ModelError(f"weights {where}: no safetensors file, {type(error).__name__}: {error}.") from error
