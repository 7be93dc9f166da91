# SPDX-License-Identifier: Apache-2.0
"""Arrays with a few facts in one safetensors file: written whole or not at all, refused where it is of another kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from xover_core.errors import XoverError


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFormat:
    """A kind of file.

    Attributes:
        name: stands in the metadata of each file.
        version: likewise; files of another one are refused.
        what: for messages, such as `scan file`.
        error: what is raised for a file that cannot be used.
    """

    name: str
    version: str
    what: str
    error: type[XoverError]

    def write(self, path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str]) -> None:
        """Write a file; a reader sees the whole file or none, since it is renamed when complete.

        Args:
            path: of the file.
            arrays: by name.
            facts: further metadata, by name.

        Raises:
            XoverError: `error`, when the file cannot be written.
        """
        metadata = {"format": self.name, "version": self.version, **facts}
        part = path.with_name(path.name + ".part")
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part, metadata)
            part.replace(path)
        except (OSError, SafetensorError) as error:
            raise self.error(f"{self.what} {path}: cannot be written, {type(error).__name__}: {error}.") from error

    @contextmanager
    def reading(self, path: Path, framework: Literal["np", "pt"] = "np") -> Iterator[Any]:
        """Open a file as `safetensors.safe_open`; what is wrong with its contents becomes one sentence.

        Args:
            path: of the file.
            framework: whose arrays are given. That of torch maps the file, that of NumPy copies it.

        Raises:
            XoverError: `error`, when there is no such file, or it is damaged, or of another kind.
        """
        try:
            with safe_open(path, framework=framework) as file:
                metadata = file.metadata() or {}
                found = metadata.get("format"), metadata.get("version")
                if found != (self.name, self.version):
                    raise self.error(
                        f"{self.what} {path}: expected {self.name} {self.version}, got {found[0]} {found[1]}; delete it"
                        " and make it again."
                    )
                yield file
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise self.error(
                f"{self.what} {path}: cannot be read, {type(error).__name__}: {error}; delete it and make it again."
            ) from error
