# SPDX-License-Identifier: Apache-2.0
"""Makes a text as careless as people type: typos, missing words, filler, clauses in another order, unknown words."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

_NEIGHBOUR_KEYS = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij", "i": "uok", "o": "ipl",
    "p": "ol", "a": "qsz", "s": "adwx", "d": "sfec", "f": "dgrv", "g": "fhtb", "h": "gjyn", "j": "hkum",
    "k": "jlim", "l": "kop", "z": "asx", "x": "zcs", "c": "xvd", "v": "cbf", "b": "vng", "n": "bmh", "m": "nkj",
}  # fmt: skip
_FILLERS = (
    "please", "um", "well", "I think", "maybe", "you know", "hey robot", "ok", "kind of", "really", "very", "just",
    "somewhere", "if possible", "thanks", "sort of", "hello", "could you", "actually", "quickly", "now", "also", "uh",
)  # fmt: skip
_SYLLABLES = ("ba", "ko", "ri", "zu", "me", "lo", "ta", "ne", "vi", "gra", "sto", "ple", "quin", "dex", "fa", "ro")
_UNKNOWN_COMMENT = ("my grandmother's", "expensive", "Swedish", "old", "new", "nice", "ugly", "lovely", "antique")
_CLAUSE_BREAK = re.compile(r"(, |; |\. )")
_MIN_LETTERS = 4


def disturb_text(text: str, rng: np.random.Generator, *, strength: float = 1.0) -> str:
    """A disturbed copy of a text, which keeps at least one word of it.

    Args:
        text: with at least one word.
        rng: decides everything.
        strength: 0 leaves the text alone; at 1 about every twelfth word has a typo and every twentieth is missing, and
            every fifth text has its clauses in another order, a filler or an unknown word. At most 5.
    """
    if rng.random() < 0.2 * strength:
        text = _shuffle_clauses(text, rng)
    words = text.split()
    kept = [word for word in words if rng.random() >= 0.05 * strength] or words[:1]
    kept = [add_typo(word, rng) if rng.random() < 0.085 * strength else word for word in kept]
    if rng.random() < 0.2 * strength:
        kept.insert(int(rng.integers(len(kept) + 1)), _FILLERS[int(rng.integers(len(_FILLERS)))])
    if rng.random() < 0.2 * strength:
        kept.insert(int(rng.integers(len(kept) + 1)), _unknown_word(rng))
    return " ".join(kept)


def add_typo(word: str, rng: np.random.Generator) -> str:
    """A word with one slip of the fingers; words of less than four letters stay, as they would become others."""
    letters = [i for i, c in enumerate(word) if c.isalpha()]
    if len(letters) < _MIN_LETTERS:
        return word
    # The first letter is seldom wrong.
    at = letters[int(rng.integers(1, len(letters)))]
    slips: tuple[Callable[[], str], ...] = (
        lambda: word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        lambda: word[:at] + word[at + 1 :],
        lambda: word[:at] + word[at] + word[at:],
        lambda: word[:at] + _neighbour(word[at], rng) + word[at + 1 :],
        lambda: word[:at] + _neighbour(word[at], rng) + word[at:],
    )
    return slips[int(rng.integers(len(slips)))]()


def _neighbour(letter: str, rng: np.random.Generator) -> str:
    """The key beside that of a letter; the letter itself where there is none."""
    keys = _NEIGHBOUR_KEYS.get(letter.lower(), letter)
    return keys[int(rng.integers(len(keys)))]


def _unknown_word(rng: np.random.Generator) -> str:
    """A word that says nothing: made up, or a remark."""
    if rng.random() < 0.5:
        return _UNKNOWN_COMMENT[int(rng.integers(len(_UNKNOWN_COMMENT)))]
    return "".join(_SYLLABLES[int(i)] for i in rng.integers(len(_SYLLABLES), size=int(rng.integers(2, 5))))


def _shuffle_clauses(text: str, rng: np.random.Generator) -> str:
    """The parts between commas, semicolons and full stops in another order."""
    parts = _CLAUSE_BREAK.split(text)
    clauses = parts[::2]
    order = rng.permutation(len(clauses))
    return "".join(clauses[order[i // 2]] if i % 2 == 0 else part for i, part in enumerate(parts))
