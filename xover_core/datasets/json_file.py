# SPDX-License-Identifier: Apache-2.0
"""Reading the JSON files of data sets, with errors that name the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xover_core.errors import DatasetError, GeometryError


def read_json(path: Path) -> Any:
    """The content of a file.

    Raises:
        DatasetError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); is the data set complete?") from error
    except ValueError as error:
        raise DatasetError(f"{path}: expected JSON, got something else ({error}); download it again.") from error


@contextmanager
def expecting(path: Path, expected: str) -> Iterator[None]:
    """Turn what goes wrong while fields of a file are taken apart into one DatasetError.

    Args:
        path: the file.
        expected: what should be in it, for the message.

    Raises:
        DatasetError: a field is missing or of another type than the block expected.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, GeometryError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DatasetError(
            f"{path}: expected {expected}, got something else ({what}); is it this data set's?"
        ) from error
