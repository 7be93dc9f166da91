# SPDX-License-Identifier: Apache-2.0
"""The vertices of a PLY file, in text or binary.

A reader of its own, for only the vertices of a mesh are wanted and numpy reads those in one call; a library would be a
dependency for the header alone. See http://paulbourke.net/dataformats/ply/.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import DatasetError

_SCALARS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
_END = b"end_header"
_MAX_HEADER = 65536  # bytes; real headers have less than 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlyVertices:
    """The vertices of a file; `data` is (N,) with a field for each property."""

    path: Path
    data: NDArray[np.void]

    def columns(self, *names: str) -> NDArray[Any]:
        """(N, len(names)) of some properties, in the type that holds all of them.

        Raises:
            DatasetError: the file does not have one of them.
        """
        there = self.data.dtype.names or ()
        missing = [name for name in names if name not in there]
        if missing:
            raise DatasetError(
                f"{self.path}: expected vertices with {', '.join(names)}, got {', '.join(there)}; is it the right file?"
            )
        return np.stack([self.data[name] for name in names], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """Where the vertices lie: their type, how many, and what comes before them.

    Attributes:
        vertex: type of a row.
        count: number of rows.
        is_text: the body is text.
        rows_before: elements before the vertices.
        bytes_before: their size in a binary file.
        size: bytes of the header.
    """

    vertex: np.dtype[np.void]
    count: int
    is_text: bool
    rows_before: int
    bytes_before: int
    size: int


def read_ply_vertices(path: Path) -> PlyVertices:
    """Read the vertices of a file.

    Raises:
        DatasetError: the file is missing, is no PLY file, has no vertices or lists in them, or is cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); is the scan complete?") from error
    header = _read_header(data, path)
    body = data[header.size :]
    return PlyVertices(
        path=path, data=_read_text(body, header, path) if header.is_text else _read_rows(body, header, path)
    )


def _read_header(data: bytes, path: Path) -> _Header:
    """What the header says; DatasetError when there is none that can be understood."""
    place = data.find(_END, 0, _MAX_HEADER)
    end = data.find(b"\n", place)
    if not data.startswith(b"ply") or place < 0 or end < 0:
        raise DatasetError(f"{path}: expected a PLY file, got something else; download it again.")
    rows = [line.split() for line in data[:place].decode("ascii", "replace").splitlines()]
    kind = next((row[1] for row in rows if row[:1] == ["format"] and len(row) > 1), "")
    if kind not in _BYTE_ORDERS:
        raise DatasetError(f"{path}: expected the format {', '.join(_BYTE_ORDERS)}, got {kind or 'none'!r}.")
    rows_before, bytes_before = 0, 0
    for name, count, properties in _elements(rows, path):
        is_scalar = all(words[0] in _SCALARS and len(words) == 2 for words in properties)
        if not is_scalar and (name == "vertex" or kind != "ascii"):
            raise DatasetError(f"{path}: element {name}: expected numbers only, up to the vertices, got {properties}.")
        row = np.dtype([(words[-1], _BYTE_ORDERS[kind] + _SCALARS.get(words[0], "f8")) for words in properties])
        if name == "vertex":
            return _Header(
                vertex=row, count=count, is_text=kind == "ascii", rows_before=rows_before, bytes_before=bytes_before,
                size=end + 1,
            )  # fmt: skip
        rows_before, bytes_before = rows_before + count, bytes_before + count * row.itemsize
    raise DatasetError(f"{path}: expected an element vertex, got none.")


def _elements(rows: list[list[str]], path: Path) -> list[tuple[str, int, list[list[str]]]]:
    """Name, count and properties (words after `property`) of each element."""
    elements: list[tuple[str, int, list[list[str]]]] = []
    for row in rows:
        if row[:1] == ["element"]:
            if len(row) != 3 or not row[2].isdecimal():
                raise DatasetError(f"{path}: expected 'element NAME COUNT' in the header, got {' '.join(row)!r}.")
            elements.append((row[1], int(row[2]), []))
        elif row[:1] == ["property"] and len(row) >= 3 and elements:
            elements[-1][2].append(row[1:])
    return elements


def _read_rows(body: bytes, header: _Header, path: Path) -> NDArray[np.void]:
    """Binary rows."""
    needed = header.bytes_before + header.count * header.vertex.itemsize
    if len(body) < needed:
        raise DatasetError(f"{path}: expected {needed} bytes of vertices, got {len(body)}; download the file again.")
    return np.frombuffer(body, header.vertex, header.count, header.bytes_before)


def _read_text(body: bytes, header: _Header, path: Path) -> NDArray[np.void]:
    """Rows of text."""
    lines = body.split(b"\n", header.rows_before + header.count)[header.rows_before :][: header.count]
    rows = [words for words in (line.split() for line in lines) if words]
    names = header.vertex.names or ()
    if len(rows) != header.count or any(len(words) != len(names) for words in rows):
        raise DatasetError(
            f"{path}: expected {header.count} vertices of {len(names)} numbers, got {len(rows)} or some with"
            " more or less; is the file complete?"
        )
    try:
        values = np.array(rows, dtype=np.float64).reshape(header.count, len(names))
    except ValueError as error:
        raise DatasetError(f"{path}: expected numbers for each vertex, got other text ({error}).") from error
    data = np.empty(header.count, header.vertex)
    for index, name in enumerate(names):
        data[name] = values[:, index]
    return data
