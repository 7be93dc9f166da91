# SPDX-License-Identifier: Apache-2.0
"""The result of a protocol: a table for people, JSON for programs, and all that is needed to repeat it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from xover_core.config import Settings
from xover_core.evaluation.provenance import Provenance

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Column(Generic[RowT]):
    """A column of the table: its head, and the text of a row's cell."""

    head: str
    text: Callable[[RowT], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolReport(Generic[RowT]):
    """Rows of one run and what made them.

    Attributes:
        protocol: its name on the command line.
        title: one line for people: what was measured, on what.
        notes: lines for people below the table.
        columns: of the printed table.
        rows: dataclasses, whose fields are the keys in the JSON file.
        settings: of the protocol.
        provenance: version, commit, machine.
        recording: its name.
        facts: name -> number, about the frames that were used.
    """

    protocol: str
    title: str
    notes: tuple[str, ...]
    columns: tuple[Column[RowT], ...]
    rows: tuple[RowT, ...]
    settings: Settings
    provenance: Provenance
    recording: str
    facts: dict[str, float]


def format_report(report: ProtocolReport[Any]) -> str:
    """Title, aligned table (first column left, numbers right), notes."""
    cells = [[column.head for column in report.columns]]
    cells += [[column.text(row) for column in report.columns] for row in report.rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(report.columns))]
    table = [
        "  " + "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    ]
    return "\n".join([report.title, *(line.rstrip() for line in table), *report.notes])


def report_as_json(report: ProtocolReport[Any]) -> dict[str, Any]:
    """All of it as JSON values; the keys are documented in docs/protocols.md."""
    return {
        "protocol": report.protocol,
        "recording": report.recording,
        "rows": [dataclasses.asdict(row) for row in report.rows],
        "facts": report.facts,
        "notes": list(report.notes),
        "settings": {f.name: getattr(report.settings, f.name) for f in dataclasses.fields(report.settings)},  # type: ignore[arg-type]
        "provenance": dataclasses.asdict(report.provenance),
    }


def write_report(report: ProtocolReport[Any], path: Path) -> None:
    """Write one JSON file; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report_as_json(report), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
