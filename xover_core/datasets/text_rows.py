# SPDX-License-Identifier: Apache-2.0
"""Parsing the text files of recordings: rows of words, stamps in seconds, poses as seven numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from xover_core.errors import DatasetError
from xover_core.geometry.transforms import make_pose, rotation_from_quaternion
from xover_core.types import Mat4

MAX_QUATERNION_NORM_ERROR = 0.05  # rounding in text files stays far below; swapped columns do not
MAX_STAMP_NS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRow:
    """The words of one line and where it stands, for messages."""

    words: tuple[str, ...]
    path: Path
    line_number: int

    def error(self, expected: str) -> DatasetError:
        """The exception for this row when it is not what was `expected`."""
        return DatasetError(
            f"{self.path} line {self.line_number}: expected {expected}, got {' '.join(self.words)[:120]!r}."
        )


def read_rows(path: Path) -> Iterator[TextRow]:
    """Yield the rows of a text file that are neither empty nor comments (`#`).

    Raises:
        DatasetError: the file is missing or not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); is the recording complete?") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: expected a text file, got binary data.") from error
    for line_number, line in enumerate(lines, start=1):
        words = tuple(line.split("#", maxsplit=1)[0].replace(",", " ").split())
        if words:
            yield TextRow(words=words, path=path, line_number=line_number)


def parse_numbers(row: TextRow, first: int, count: int, expected: str) -> list[float]:
    """`count` numbers of a row from word `first` on (NaN is a number); DatasetError naming `expected` otherwise."""
    words = row.words[first : first + count]
    if len(words) < count:
        raise row.error(expected)
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise row.error(expected) from error


def parse_stamp_ns(row: TextRow, column: int, expected: str) -> int:
    """Seconds in decimal text to nanoseconds, exactly (a float would lose the last digits of a Unix time)."""
    try:
        seconds = Decimal(row.words[column])
        stamp_ns = int(seconds * 10**9)
    except (IndexError, InvalidOperation, ValueError, OverflowError) as error:
        raise row.error(expected) from error
    if not 0 <= stamp_ns <= MAX_STAMP_NS:
        raise row.error(f"{expected} with a time in seconds that is not negative")
    return stamp_ns


def parse_pose(row: TextRow, first: int, expected: str) -> Mat4 | None:
    """`tx ty tz qx qy qz qw` from word `first` on as a (4, 4) pose; None when any of them is NaN (unknown pose).

    Raises:
        DatasetError: too few numbers, infinite ones, or a quaternion whose norm is not 1.
    """
    values = np.array(parse_numbers(row, first, 7, expected))
    if np.isnan(values).any():
        return None
    norm = float(np.linalg.norm(values[3:]))
    if not np.isfinite(values).all() or abs(norm - 1) > MAX_QUATERNION_NORM_ERROR:
        raise row.error(f"{expected} with finite numbers and a unit quaternion (its norm here is {norm:.3g})")
    return make_pose(rotation_from_quaternion(values[3:]), values[:3])
