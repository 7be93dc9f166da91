# SPDX-License-Identifier: Apache-2.0
"""Tests of careless typing: how much of a text survives, and what a typo is."""

from __future__ import annotations

import numpy as np
import pytest

from xover_core.training.text_disturbance import add_typo, disturb_text

TEXT = "Kitchen with a round white table, two chairs by the window; a fridge. The clock hangs above the door"
# Share of the words of a text that stay as they were, over many texts: the expected share is 0.87.
MIN_KEPT, MAX_KEPT = 0.82, 0.92


def test_strength_0_changes_nothing() -> None:
    assert disturb_text(TEXT, np.random.default_rng(0), strength=0.0) == TEXT


def test_most_words_stay() -> None:
    rng = np.random.default_rng(1)
    words = set(TEXT.replace(",", "").replace(";", "").replace(".", "").split())
    kept = []
    for _ in range(300):
        found = disturb_text(TEXT, rng).replace(",", "").replace(";", "").replace(".", "").split()
        kept.append(len(words & set(found)) / len(words))
    assert MIN_KEPT < np.mean(kept) < MAX_KEPT


def test_clauses_change_places() -> None:
    rng = np.random.default_rng(2)
    assert any(text.find("two chairs") < text.find("Kitchen") for text in (disturb_text(TEXT, rng) for _ in range(50)))


def test_the_same_generator_gives_the_same_text() -> None:
    first, again = (disturb_text(TEXT, np.random.default_rng(3), strength=3.0) for _ in range(2))
    assert first == again != TEXT


def test_a_text_never_vanishes() -> None:
    rng = np.random.default_rng(4)
    assert all(disturb_text("sofa", rng, strength=5.0).strip() for _ in range(200))


@pytest.mark.parametrize("word", ["sofa", "wardrobe", "table,"])
def test_a_typo_is_one_slip(word: str) -> None:
    rng = np.random.default_rng(5)
    typos = [add_typo(word, rng) for _ in range(200)]
    assert all(abs(len(typo) - len(word)) <= 1 for typo in typos)
    assert len(set(typos)) > 10
    lengths = {len(typo) - len(word) for typo in typos}
    assert lengths == {-1, 0, 1}


def test_short_words_and_numbers_have_no_typos() -> None:
    rng = np.random.default_rng(6)
    assert all(add_typo(word, rng) == word for word in ("bed", "TV", "2", "1234") for _ in range(20))
