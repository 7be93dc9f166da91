# SPDX-License-Identifier: Apache-2.0
"""Where what is made on a machine is kept, and what is said where it cannot be."""

from __future__ import annotations

import os
from pathlib import Path

from xover_core.inference.machine_cache import machine_cache, make_machine_cache


def test_the_folder_is_that_of_the_setting_or_of_the_user(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert machine_cache("", "engines") == Path("/cache/xover/engines")
    assert machine_cache("/mnt/ssd", "engines") == Path("/mnt/ssd/engines")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/robot")
    assert machine_cache("", "engines") == Path("/home/robot/.cache/xover/engines")
    assert machine_cache("~/kept", "engines") == Path(os.path.expanduser("~/kept/engines"))


def test_the_folder_is_made(tmp_path):
    folder = make_machine_cache(str(tmp_path / "new"), "openvino")
    assert folder == tmp_path / "new" / "openvino"
    assert folder.is_dir()


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert make_machine_cache(str(tmp_path / "file"), "openvino") is None
    assert "cannot be used (Not a directory), and nothing is kept there; see inference.cache_folder" in caplog.text


def test_a_folder_without_the_right_to_write_is_done_without(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert make_machine_cache(str(tmp_path), "openvino") is None
    assert "no right to write" in caplog.text
