# SPDX-License-Identifier: Apache-2.0
"""Tests of text tokens: what counts as the same word, what stays alike under typos, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from xover_core.encoders.text_tokens import MAX_WORDS, NUM_BUCKETS, batch_tokens, singular, split_words, tokenise
from xover_core.errors import SensorDataError

# Share of ids in common: a swap in the middle of a short word leaves about an eighth, unrelated words share none but by
# collisions.
MIN_OVERLAP_OF_TYPO = 0.1
MAX_OVERLAP_OF_OTHERS = 0.05


def overlap(first: str, second: str) -> float:
    """Jaccard index of the ids of two words."""
    a, b = (set(tokenise(word).ravel().tolist()) - {0} for word in (first, second))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The RED sofa, next to the window!", ["the", "red", "sofa", "next", "to", "the", "window"]),
        ("kitchen;2 chairs", ["kitchen", "two", "chairs"]),
        ("Children\u2019s caf\u00e9-style room", ["childrens", "cafe", "style", "room"]),
        ("2chairs 20 21 300 \u00bd", ["two", "chairs", "twenty", "21", "300", "one", "two"]),
        ("\u0414\u0438\u0432\u0430\u043d", ["\u0434\u0438\u0432\u0430\u043d"]),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("chairs", "chair"),
        ("boxes", "box"),
        ("couches", "couch"),
        ("glasses", "glass"),
        ("bookshelves", "bookshelf"),
        ("bodies", "body"),
        ("vases", "vase"),
        ("children", "child"),
        ("childrens", "child"),
        ("glass", "glass"),
        ("this", "this"),
        ("has", "has"),
        ("sofa", "sofa"),
    ],
)
def test_singular(plural: str, expected: str) -> None:
    assert singular(plural) == expected


def test_ids_are_in_range_and_padding_comes_last() -> None:
    ids = tokenise("a kitchen with a refrigerator")
    assert ids.dtype == np.int64
    assert ids.min() == 0
    assert ids.max() < NUM_BUCKETS
    assert (ids[:, 0] > 0).all()
    assert (np.diff((ids > 0).astype(int), axis=1) <= 0).all()


def test_case_accents_digits_and_punctuation_make_no_difference() -> None:
    assert np.array_equal(tokenise("Two white CHAIRS, a caf\u00e9 table."), tokenise("2 white chairs a cafe table"))


def test_a_plural_is_close_to_its_singular_and_still_another_word() -> None:
    assert 0.5 < overlap("chairs", "chair") < 1.0


@pytest.mark.parametrize(
    ("word", "typo"),
    [("sofa", "soffa"), ("table", "tabel"), ("fridge", "frigde"), ("window", "widow"), ("wardrobe", "wardorbe")],
)
def test_a_typo_shares_pieces_with_its_word(word: str, typo: str) -> None:
    assert overlap(word, typo) > MIN_OVERLAP_OF_TYPO
    for other in ("kitchen", "lamp", "mirror", "rug"):
        assert overlap(typo, other) < MAX_OVERLAP_OF_OTHERS


def test_the_number_of_buckets_is_kept() -> None:
    few = tokenise("the refrigerator in the kitchen", num_buckets=50)
    assert few[few > 0].max() < 50


def test_long_texts_and_long_words_are_cut() -> None:
    assert len(tokenise("chair " * 500)) == MAX_WORDS
    assert tokenise("o" * 5000).shape[1] < 100
    assert np.array_equal(tokenise("chair " * 500), tokenise("chair " * MAX_WORDS))


def test_a_batch_holds_each_text_and_zeros() -> None:
    texts = ["a red sofa", "refrigerator"]
    batch = batch_tokens(texts)
    for row, text in zip(batch, texts, strict=True):
        ids = tokenise(text)
        assert np.array_equal(row[: ids.shape[0], : ids.shape[1]], ids)
        assert row.sum() == ids.sum()
    assert batch_tokens([]).shape == (0, 1, 1)


@pytest.mark.parametrize("text", ["", "  \n", "?!,.", "_ -- *"])
def test_a_text_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(SensorDataError, match="at least one word"):
        batch_tokens(["sofa", text])


def test_ids_are_the_same_in_another_process() -> None:
    code = "from xover_core.encoders.text_tokens import tokenise; print(tokenise('a red sofa').tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PYTHONHASHSEED": "77"},
    )
    assert done.stdout.strip() == str(tokenise("a red sofa").tolist())
