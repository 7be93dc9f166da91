# SPDX-License-Identifier: Apache-2.0
"""Free English about rooms and objects: queries, commands, fragments, lists, sentences; true by construction.

`sentences` says everything of a room in few templates; here one text says something of it, as a person might type it.
Nothing is denied: texts never say what a room lacks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from xover_core.datasets.procedural import room_wording as wording
from xover_core.datasets.procedural.apartment import Apartment
from xover_core.datasets.procedural.room_facts import ObjectFacts, RoomFacts, read_room_facts
from xover_core.datasets.procedural.room_lexicon import NOUNS, Words
from xover_core.datasets.procedural.room_phrases import PhraseWriter, plural, weight_of, with_article
from xover_core.datasets.procedural.room_traits import class_trait, count_traits
from xover_core.datasets.procedural.scene import RoomType
from xover_core.errors import DatasetError

# what a place begins with after a noun, and not after a verb
_RELATIVE = re.compile(r"^(?:that is|which stands|standing|lying|hanging|placed|hung) ")
_CLAUSE_SHARES = (0.2, 0.27, 0.22, 0.14, 0.1, 0.07)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeText:
    """A text and what it speaks of.

    Attributes:
        text: English.
        object_ids: the objects that it names.
        said: what it says (`room_traits`).
        room_type: of the room when the text says it, else None.
    """

    text: str
    object_ids: frozenset[int]
    said: frozenset[str]
    room_type: RoomType | None = None


def describe_freely(apartment: Apartment, room_id: int, rng: np.random.Generator, *, held_out: float = 0.0) -> str:
    """One to six clauses about a room.

    Args:
        apartment: where the room is.
        room_id: which.
        rng: decides everything.
        held_out: share of the words, where there is a choice, that are of those which training never sees.

    Raises:
        DatasetError: no such room.
    """
    return write_room_text(read_room_facts(apartment, room_id), rng, held_out=held_out).text


def describe_object_freely(
    apartment: Apartment, object_id: int, rng: np.random.Generator, *, held_out: float = 0.0
) -> str:
    """A short text whose target is an object of the furniture; `held_out` as in `describe_freely`.

    Raises:
        DatasetError: no such object.
    """
    found = [o for o in apartment.furniture if o.object_id == object_id]
    if not found:
        raise DatasetError(f"apartment {apartment.seed}: expected the id of a piece of furniture, got {object_id}.")
    facts = read_room_facts(apartment, found[0].room_id)
    return write_object_text(facts, object_id, rng, held_out=held_out).text


def write_room_text(facts: RoomFacts, rng: np.random.Generator, *, held_out: float = 0.0) -> FreeText:
    """`describe_freely` for facts that were read before, with what it speaks of."""
    writer = PhraseWriter(facts, rng, held_out=held_out)
    count = 1 + int(writer.choose(range(len(_CLAUSE_SHARES)), _CLAUSE_SHARES))
    is_named = writer.chance(0.5)
    style = writer.choose(("list", "fragments", "sentences", "object", "wish"), (0.34, 0.2, 0.24, 0.14, 0.08))
    if not facts.objects or (style == "wish" and not facts.uses):
        style, is_named = "sentences", True
    if style == "list":
        text = _with_list(writer, count, is_named=is_named)
    elif style == "fragments":
        text = _in_fragments(writer, count, is_named=is_named)
    elif style == "sentences":
        text = _in_sentences(writer, count, is_named=is_named)
    elif style == "object":
        text, is_named = _object_query(writer, writer.choose_object(facts.objects)), False
    else:
        text, is_named = _wish(writer, count), False
    ids = frozenset(writer.named_ids)
    room_type = facts.room.room_type if is_named else None
    return FreeText(text=_finish(writer, text), object_ids=ids, said=frozenset(writer.said), room_type=room_type)


def write_object_text(facts: RoomFacts, object_id: int, rng: np.random.Generator, *, held_out: float = 0.0) -> FreeText:
    """`describe_object_freely` for facts that were read before; the object must be in the room."""
    writer = PhraseWriter(facts, rng, held_out=held_out)
    subject = facts.object(object_id)
    is_statement = writer.chance(0.3) and bool(writer.places_of(subject))
    text = _place_statement(writer, subject) if is_statement else _object_query(writer, subject)
    said = frozenset(writer.said)
    return FreeText(text=_finish(writer, text), object_ids=frozenset(writer.named_ids), said=said)


def write_object_phrase(facts: RoomFacts, object_id: int, rng: np.random.Generator, *, held_out: float = 0.0) -> str:
    """A noun phrase about an object alone, such as `the small red armchair`; the object must be in the room."""
    writer = PhraseWriter(facts, rng, held_out=held_out)
    return writer.object_phrase(facts.object(object_id), writer.choose(("a", "the", "")))


def _object_query(writer: PhraseWriter, subject: ObjectFacts) -> str:
    """A query such as `where is the red sofa next to the window?`."""
    place = writer.choose_place(subject) if writer.chance(0.65) else None
    frame = writer.say(wording.OBJECT_QUERIES)
    article = "the" if "{the}" in frame else "a" if "{a}" in frame else ""
    phrase = writer.object_phrase(subject, article, place=place)
    if writer.chance(0.12):
        phrase = f"{phrase} in the {writer.room_phrase(is_named=True)}"
    return _fill(frame, the=phrase, a=phrase, bare=phrase)


def _place_statement(writer: PhraseWriter, subject: ObjectFacts) -> str:
    """`The sofa stands next to the window`, for an object that has a place."""
    place = writer.choose_place(subject)
    where = "" if place is None else _RELATIVE.sub("", writer.place_phrase(place, subject))
    phrase = writer.object_phrase(subject, writer.choose(("the", "a")))
    if where.startswith("with "):
        return f"{phrase} has {where.removeprefix('with ')}."
    return f"{phrase} {writer.say(wording.VERBS)} {where}."


def _with_list(writer: PhraseWriter, count: int, *, is_named: bool) -> str:
    """`take me to the kitchen with a round table and two chairs`."""
    article = writer.choose(("a", "a", "the", ""))
    items = _clauses(writer, count, article)
    listing = items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
    if writer.chance(0.1):
        listing = " and ".join(items)
    return _framed(writer, wording.WITH_LIST, is_named=is_named, list=listing)


def _in_fragments(writer: PhraseWriter, count: int, *, is_named: bool) -> str:
    """`kitchen, two chairs, round white table`, or without commas as in a telegram."""
    items = _clauses(writer, max(count, 2), "")
    separator = writer.choose((", ", ", ", ", ", " ", "; ", " + ", ". ", " and "))
    return _framed(writer, wording.FRAGMENTS, is_named=is_named, fragments=separator.join(items))


def _in_sentences(writer: PhraseWriter, count: int, *, is_named: bool) -> str:
    """Whole sentences, the first about the room when it is named."""
    sentences = [_framed(writer, wording.OPENINGS, is_named=True)] if is_named else []
    for _ in range(count if writer.facts.objects else 0):
        subject = writer.choose_object(writer.facts.objects)
        if writer.chance(0.35) and writer.places_of(subject):
            sentences.append(_place_statement(writer, subject))
        else:
            sentences.append(_fill(writer.say(wording.STATEMENTS), np=_clause(writer, "a")))
    return " ".join(s[:1].upper() + s[1:] for s in sentences)


def _wish(writer: PhraseWriter, count: int) -> str:
    """`where can I cook?`, perhaps with some of what is there."""
    wish = writer.say(wording.WISHES).replace("{use}", writer.use())
    if not writer.chance(0.4):
        return wish
    return f"{wish.rstrip('?')} with {' and '.join(_clauses(writer, min(count, 2), 'a'))}"


def _framed(writer: PhraseWriter, frames: Words, *, is_named: bool, **slots: str) -> str:
    """A frame with the room and other slots filled in; a frame that names no room when it has to is not taken."""
    frame = writer.say(frames)
    while is_named and "room}" not in frame:
        frame = writer.say(frames)
    room = writer.room_phrase(is_named=is_named)
    return _fill(frame, room=room, a_room=with_article(room, "a"), the_room=with_article(room, "the"), **slots)


def _clauses(writer: PhraseWriter, count: int, article: str) -> list[str]:
    """Different phrases about the room; fewer when it has little to say."""
    return list(dict.fromkeys(_clause(writer, article) for _ in range(count)))


def _clause(writer: PhraseWriter, article: str) -> str:
    """A phrase about an object, several of a kind, the windows, or the floor; not again about the same objects."""
    facts, draw = writer.facts, writer.rng.random()
    if draw < 0.04 and facts.floor in wording.FLOORS:
        writer.said.add(f"floor:{facts.floor}")
        return with_article(writer.say(wording.FLOORS[facts.floor]), article)
    present = [(kind, number) for kind, number in facts.openings if number]
    if draw < 0.08 and present:
        kind, number = writer.choose(present)
        noun = writer.say(NOUNS[kind])
        writer.said |= {class_trait(kind), *count_traits(kind, number)}
        return with_article(noun, article) if number == 1 else f"{writer.number(number)} {plural(noun)}"
    groups = _unnamed_groups(writer)
    if draw < 0.25 and groups:
        color, group = writer.choose(groups, [weight_of(group[0].object_class) for _, group in groups])
        return writer.group_phrase(group, color)
    unnamed = [o for o in facts.objects if o.object_id not in writer.named_ids]
    subject = writer.choose_object(unnamed or facts.objects)
    place = writer.choose_place(subject) if writer.chance(0.35) else None
    return writer.object_phrase(subject, article, place=place)


def _unnamed_groups(writer: PhraseWriter) -> list[tuple[str, list[ObjectFacts]]]:
    """(colour, all objects of a class that have it), two or more of them; the colour is empty for all of a class."""
    found: dict[tuple[int, str], list[ObjectFacts]] = defaultdict(list)
    for subject in writer.facts.objects:
        found[subject.object_class, ""].append(subject)
        if subject.color:
            found[subject.object_class, subject.color].append(subject)
    return [
        (color, group)
        for (_, color), group in found.items()
        if len(group) >= 2 and not any(o.object_id in writer.named_ids for o in group)
    ]


def _fill(frame: str, **slots: str) -> str:
    """A frame with its slots filled; phrases may hold no braces."""
    for name, value in slots.items():
        frame = frame.replace(f"{{{name}}}", value)
    return frame


def _finish(writer: PhraseWriter, text: str) -> str:
    """Letters and punctuation as people type them: often all lower-case, often without a full stop."""
    if writer.chance(0.4):
        text = text.lower()
    elif writer.chance(0.6):
        text = text[:1].upper() + text[1:]
    return text.rstrip(".?") if writer.chance(0.4) else text
