# SPDX-License-Identifier: Apache-2.0
"""Settings check themselves."""

from __future__ import annotations

import dataclasses

import pytest

from xover_core.config import EncoderSettings, InferenceSettings, MatchingSettings, XoverSettings, setting
from xover_core.config_io import flatten
from xover_core.errors import ConfigError
from xover_core.inference.session import BACKENDS, PRECISIONS


def test_every_setting_has_a_text():
    for key, spec, _ in flatten(XoverSettings()):
        assert spec.metadata["text"], key


def test_defaults_are_within_their_own_limits():
    assert XoverSettings() == XoverSettings()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_matches": 4}, r"MatchingSettings\.max_matches: expected at least 5, got 4"),
        ({"min_similarity": 1.5}, r"min_similarity: expected -1\.0 to 1\.0, got 1\.5"),
        ({"min_similarity": float("nan")}, "min_similarity"),
        ({"min_similarity": "much"}, "min_similarity: expected float, got str"),
        ({"max_matches": 7.0}, "max_matches: expected int, got float"),
        ({"max_matches": True}, "max_matches: expected int, got bool"),
    ],
)
def test_wrong_values_are_refused_with_name_and_value(change, message):
    with pytest.raises(ConfigError, match=message):
        MatchingSettings(**change)


def test_a_whole_number_is_a_number():
    assert MatchingSettings(max_cycle_distance=2).max_cycle_distance == 2


def test_choices():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Backend(EncoderSettings):
        device: str = setting("cpu", "where to run", choices=("cpu", "cuda"))

    assert Backend(device="cuda").device == "cuda"
    with pytest.raises(ConfigError, match="expected one of cpu, cuda, got 'tpu'"):
        Backend(device="tpu")


def test_settings_cannot_be_changed_silently():
    with pytest.raises(dataclasses.FrozenInstanceError):
        XoverSettings().random_seed = 3


def test_backends_and_precisions_are_those_that_sessions_know():
    choices = {key: spec.metadata["choices"] for key, spec, _ in flatten(InferenceSettings())}
    assert choices["backend"] == ("auto", *BACKENDS)
    assert choices["precision"] == ("auto", *PRECISIONS)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_devices_that_there_may_be(device):
    assert InferenceSettings(device=device).device == device


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:x", "cpu:0"])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(ConfigError, match=r"InferenceSettings\.device: expected auto, cpu or cuda:0"):
        InferenceSettings(device=device)


@pytest.mark.parametrize("axes", ["rows", "rows=1", "rows=1:2", "rows=1:2:3,", "=1:2:3"])
def test_axes_that_cannot_be_read_are_refused(axes):
    with pytest.raises(ConfigError, match=r"engine_axes: expected axes as rows=30:30:60"):
        InferenceSettings(engine_axes=axes)
