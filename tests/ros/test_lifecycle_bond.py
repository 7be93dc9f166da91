# SPDX-License-Identifier: Apache-2.0
"""The bond with Nav2's lifecycle manager, with and without bondpy."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest
from xover_ros.lifecycle_bond import start_bond


class _Node:
    def get_name(self) -> str:
        return "localizer"

    def get_logger(self) -> logging.Logger:
        return logging.getLogger("test")


class _FakeBond:
    """The calls that bondpy's Bond answers."""

    calls: list[tuple[str, object]]

    def __init__(self, topic: str, id: str, node: object) -> None:
        type(self).calls = [("made", (topic, id))]

    def set_heartbeat_period(self, seconds: float) -> None:
        self.calls.append(("period", seconds))

    def set_heartbeat_timeout(self, seconds: float) -> None:
        self.calls.append(("timeout", seconds))

    def start(self) -> None:
        self.calls.append(("start", None))

    def shutdown(self) -> None:
        self.calls.append(("shutdown", None))


def test_the_bond_has_the_id_that_the_manager_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = ModuleType("bondpy"), ModuleType("bondpy.bondpy")
    module.Bond = _FakeBond  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bondpy", package)
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", module)
    end = start_bond(_Node())  # type: ignore[arg-type]
    assert _FakeBond.calls == [("made", ("bond", "localizer")), ("period", 0.25), ("timeout", 4.0), ("start", None)]
    end()
    assert _FakeBond.calls[-1] == ("shutdown", None)


def test_without_bondpy_there_is_no_bond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bondpy", None)
    start_bond(_Node())()  # type: ignore[arg-type]
