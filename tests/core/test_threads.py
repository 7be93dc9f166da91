# SPDX-License-Identifier: Apache-2.0
"""Threads of networks: the setting, else the environment, else one for each core."""

from __future__ import annotations

import pytest

from xover_core.inference.threads import THREADS_VARIABLE, num_threads_of


@pytest.mark.parametrize(
    ("setting", "text", "number"), [(0, "3", 3), (0, "", 0), (0, "many", 0), (2, "3", 2), (2, "", 2)]
)
def test_threads_are_those_of_the_setting_or_the_environment(monkeypatch, setting, text, number):
    monkeypatch.setenv(THREADS_VARIABLE, text)
    assert num_threads_of(setting) == number
