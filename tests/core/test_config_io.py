# SPDX-License-Identifier: Apache-2.0
"""Settings to YAML and back; unknown keys are refused."""

from __future__ import annotations

import pytest

from xover_core.config import XoverSettings
from xover_core.config_io import (
    dump_settings,
    flat_values,
    flatten,
    load_preset,
    load_settings,
    override,
    preset_names,
)
from xover_core.errors import ConfigError


def test_dump_is_read_back(tmp_path):
    changed = override(XoverSettings(), {"matching.max_matches": 50, "random_seed": 9, "encoder.model": "other"})
    file = tmp_path / "settings.yaml"
    file.write_text(dump_settings(changed))
    assert load_settings(file) == changed


def test_dump_explains_every_setting():
    text = dump_settings(XoverSettings())
    for _, spec, _ in flatten(XoverSettings()):
        assert spec.metadata["text"] in text


def test_override_leaves_the_rest_and_the_original_alone():
    before = XoverSettings()
    after = override(before, {"solver.min_inliers": 20})
    changed = {key for (key, _, a), (_, _, b) in zip(flatten(before), flatten(after), strict=True) if a != b}
    assert changed == {"solver.min_inliers"}
    assert before == XoverSettings()


@pytest.mark.parametrize("key", ["solver.min_inlier", "min_inliers", "solver", "solver.min_inliers.more", ""])
def test_unknown_keys_are_refused_and_known_ones_named(key):
    with pytest.raises(ConfigError, match=r"solver\.min_inliers"):
        override(XoverSettings(), {key: 5})


def test_a_misspelt_key_is_answered_with_what_was_meant():
    with pytest.raises(ConfigError, match=r"'solver\.min_inlier'; did you mean solver\.min_inliers") as error:
        override(XoverSettings(), {"solver.min_inlier": 5})
    assert "mapping" not in str(error.value)


def test_nested_and_dotted_keys_are_the_same():
    assert flat_values({"a": {"b": {"c": 1}, "d": 2}, "e.f": 3}) == {"a.b.c": 1, "a.d": 2, "e.f": 3}


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just words", ""])
def test_files_that_are_no_settings(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_settings(file)


def test_a_binary_file_is_no_settings(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bad\.yaml: cannot be read as YAML"):
        load_settings(file)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_settings(tmp_path / "none.yaml")


def test_wrong_value_in_a_file_names_the_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("matching:\n  max_matches: 1\n")
    with pytest.raises(ConfigError, match=r"settings\.yaml: .*max_matches"):
        load_settings(file)


def test_every_preset_loads():
    assert "default" in preset_names()
    for name in preset_names():
        assert isinstance(load_preset(name), XoverSettings)


def test_default_preset_is_the_default():
    assert load_preset("default") == XoverSettings()


def test_unknown_preset_names_the_known():
    with pytest.raises(ConfigError, match="default"):
        load_preset("nope")
