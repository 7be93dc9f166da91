# SPDX-License-Identifier: Apache-2.0
"""Whether a checkpoint's tensors are those that a network needs, with a sentence for each that isn't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from xover_core.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointReport:
    """What a comparison of keys and shapes found; one sentence each.

    Attributes:
        problems: missing, unexpected and misshapen tensors.
        notes: tensors that are left out on purpose.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def require_complete(self, path: Path | str) -> None:
        """Raise ModelError with every problem, unless there is none."""
        if self.problems:
            listed = "\n  ".join(self.problems)
            raise ModelError(
                f"checkpoint {path}: {len(self.problems)} of its tensors do not fit the network; is it of another"
                f" model?\n  {listed}"
            )


def compare_tensors(found: Mapping[str, Tensor], expected: Shapes, unused: Mapping[str, str]) -> CheckpointReport:
    """Compare the tensors of a checkpoint with the shapes that a network needs.

    Args:
        found: tensors by key.
        expected: shapes by key.
        unused: key prefix -> why tensors whose keys begin so are not needed.
    """
    problems = [
        f"{key}: missing, expected a tensor of shape {shape}." for key, shape in expected.items() if key not in found
    ]
    notes = []
    for key, tensor in found.items():
        shape = tuple(tensor.shape)
        if key not in expected:
            reasons = [why for prefix, why in unused.items() if key.startswith(prefix)]
            notes += [f"{key}: not used, {why}." for why in reasons[:1]]
            problems += [] if reasons else [f"{key}: unexpected, the network has no such tensor (of shape {shape})."]
        elif shape != expected[key]:
            problems.append(f"{key}: expected shape {expected[key]}, got {shape}.")
    return CheckpointReport(problems=tuple(problems), notes=tuple(notes))
