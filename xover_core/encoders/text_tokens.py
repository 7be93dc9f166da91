# SPDX-License-Identifier: Apache-2.0
"""English text -> words -> hashed character n-grams, as `networks.light_text_network` reads them.

There is no vocabulary: a word is the set of its pieces, so a misspelt or unknown word still looks like its neighbours.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xover_core.errors import SensorDataError

NUM_BUCKETS = 8192
"""Ids run from 1 to this number less one; 0 is padding."""
MAX_WORDS = 96
"""Longer texts are cut for networks that know places of words."""
MAX_LONG_WORDS = 512
"""Longer texts are cut for all others."""

_GRAM_SIZES = (3, 4, 5)
_MAX_LETTERS = 20
_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_IRREGULAR = {
    "children": "child",
    "childrens": "child",
    "people": "person",
    "feet": "foot",
    "knives": "knife",
    "loaves": "loaf",
}
# letters of any script, or digits; an apostrophe is dropped before
_WORD = re.compile(r"[^\W\d_]+|\d+")


def split_words(text: str) -> list[str]:
    """Lower-case words without accents and punctuation, numbers up to twenty spelt out; plurals as they are."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    plain = re.sub("['\u2019`]", "", plain)
    return [_spelt_out(word) for word in _WORD.findall(plain)]


def singular(word: str) -> str:
    """A guess at the singular of an English noun; a wrong guess does no harm as long as it is always the same."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("shelves"):
        return word[:-3] + "f"
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("xes", "ches", "shes", "sses", "zzes")) else word[:-1]


def tokenise(text: str, num_buckets: int = NUM_BUCKETS, *, max_words: int = MAX_WORDS) -> NDArray[np.int64]:
    """Ids of the words of a text.

    Args:
        text: English; other languages give ids too, which mean nothing to a network that never saw them.
        num_buckets: that of the network.
        max_words: longer texts are cut.

    Returns:
        (W, G) ids, 1 <= W <= `max_words`, padded with 0.

    Raises:
        SensorDataError: the text has no word.
    """
    words = split_words(text)[:max_words]
    if not words:
        raise SensorDataError(f"text: expected at least one word, got {text[:40]!r}; describe the room or an object.")
    pieces = [_word_ids(word, num_buckets) for word in words]
    ids = np.zeros((len(words), max(len(p) for p in pieces)), dtype=np.int64)
    for row, piece in zip(ids, pieces, strict=True):
        row[: len(piece)] = piece
    return ids


def batch_tokens(
    texts: Sequence[str], num_buckets: int = NUM_BUCKETS, *, max_words: int = MAX_WORDS
) -> NDArray[np.int64]:
    """(B, W, G) ids of several texts, padded with 0 to the longest; (0, 1, 1) for none; arguments as `tokenise`.

    Raises:
        SensorDataError: a text has no word.
    """
    tokens = [tokenise(text, num_buckets, max_words=max_words) for text in texts]
    shape = np.max([t.shape for t in tokens], axis=0) if tokens else (1, 1)
    batch = np.zeros((len(tokens), *shape), dtype=np.int64)
    for row, ids in zip(batch, tokens, strict=True):
        row[: ids.shape[0], : ids.shape[1]] = ids
    return batch


def _spelt_out(word: str) -> str:
    """Digits as a word, so that "2 chairs" and "two chairs" are the same."""
    if not word.isdecimal() or len(word) > 2 or int(word) >= len(_NUMBERS):
        return word
    return _NUMBERS[int(word)]


@lru_cache(maxsize=1 << 16)
def _word_ids(word: str, num_buckets: int) -> tuple[int, ...]:
    """Ids of a word as it stands, of its singular, of its letters in any order, and of its n-grams with marked ends."""
    stem = singular(word)
    marked = f"<{stem[:_MAX_LETTERS]}>"
    grams = [marked[i : i + n] for n in _GRAM_SIZES for i in range(len(marked) - n + 1)]
    # The letters in order of the alphabet stay the same when two of them are swapped, the most common typo.
    letters = "".join(sorted(stem))
    # Marks tell the kinds apart: "=sofa" is never the n-gram "sofa".
    pieces = dict.fromkeys((f"={word}", f"={stem}", f"~{letters}", *grams))
    # Python's own hash differs from run to run.
    return tuple(1 + zlib.crc32(piece.encode()) % (num_buckets - 1) for piece in pieces)
