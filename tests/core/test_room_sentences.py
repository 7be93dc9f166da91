# SPDX-License-Identifier: Apache-2.0
"""Tests of free descriptions: what is said is true of the room, of many wordings, and none of the held-out words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

from xover_core.datasets.procedural import RoomType, make_apartment, materials, room_lexicon, room_wording
from xover_core.datasets.procedural.bounds import object_boxes
from xover_core.datasets.procedural.room_facts import RoomFacts, read_room_facts
from xover_core.datasets.procedural.room_lexicon import KINDS, NOUNS, ROOMS, USES, VAGUE, Words
from xover_core.datasets.procedural.room_phrases import plural, with_article
from xover_core.datasets.procedural.room_sentences import (
    describe_freely,
    describe_object_freely,
    write_object_text,
    write_room_text,
)
from xover_core.datasets.procedural.room_wording import COLORS, MATERIALS, NUMBERS, PLACES, SHADE_OF, SHADES
from xover_core.datasets.procedural.scene import ObjectClass as C
from xover_core.datasets.procedural.spatial_relations import Relation
from xover_core.errors import DatasetError

TEXTS_PER_ROOM = 60
APARTMENTS = [make_apartment(seed, num_rooms=8) for seed in (1, 2)]
ROOMS_OF_ALL = [(apartment, room.room_id) for apartment in APARTMENTS for room in apartment.rooms]
# Nouns for a part of something else: a shower's curtain, a washbasin's cabinet, a kitchen's cupboards.
OWNERS = {
    C.CURTAIN: {C.SHOWER},
    C.CUSHION: {C.SOFA, C.ARMCHAIR, C.BED},
    C.STOVE: {C.KITCHEN_COUNTER},
    C.SINK: {C.KITCHEN_COUNTER},
    C.WALL_CABINET: {C.KITCHEN_COUNTER},
    **{kind: {C.SINK, C.KITCHEN_COUNTER, C.TV} for kind in (C.CUPBOARD, C.WARDROBE, C.DRESSER)},
}
# Of every room.
EVERYWHERE = {C.WINDOW, C.DOOR, C.FLOOR, C.WALL}


def table_of(module: object) -> Iterator[Words]:
    """All words of a lexicon module."""
    for value in vars(module).values():
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, Words):
                yield item
            elif isinstance(item, dict):
                stack += item.values()
            elif isinstance(item, tuple):
                stack += item


ALL_WORDS = [*table_of(room_lexicon), *table_of(room_wording)]


def classes_of_nouns() -> dict[str, set[C]]:
    """Every noun in singular and plural with the classes it may mean; none for rooms, uses and floors."""
    found: dict[str, set[C]] = defaultdict(set)
    entries = [*NOUNS.items(), *VAGUE.items(), *((kind, words) for (kind, _), words in KINDS.items())]
    for kind, words in entries:
        for noun in (*words.known, *words.held_out):
            found[noun.lower()].add(kind)
            found[plural(noun).lower()].add(kind)
    for words in (*ROOMS.values(), *(u for _, u in USES), *room_wording.FLOORS.values(), *MATERIALS.values()):
        for phrase in (*words.known, *words.held_out):
            found[phrase.lower()] = set()
    # The pictures of "a picture of" and "the picture shows" hang on no wall.
    found |= {phrase: set() for phrase in ("picture of", "the picture shows")}
    return found


CLASSES_OF = classes_of_nouns()
COLORS_OF: dict[str, set[str]] = defaultdict(set)
for base, color_words in COLORS.items():
    for color_word in (*color_words.known, *color_words.held_out):
        COLORS_OF[color_word].add(base)
for base, shade in SHADE_OF.items():
    for color_word in (*SHADES[shade].known, *SHADES[shade].held_out):
        COLORS_OF[color_word].add(base)


def alternatives(words: object) -> str:
    """A pattern of any of the words, the longest first."""
    return "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))


NOUN_PATTERN = re.compile(rf"(?<![\w'])(?:{alternatives(CLASSES_OF)})(?![\w'-])")
COLORED_PATTERN = re.compile(rf"(?<![\w-])({alternatives(COLORS_OF)}) ({alternatives(CLASSES_OF)})(?![\w'-])")
COUNT_WORDS = {w: i for i, w in enumerate(NUMBERS)} | {str(i): i for i in range(2, 30)}
COUNT_WORDS |= {"a pair of": 2, "a couple of": 2}
COUNTED_PATTERN = re.compile(
    rf"(?<![\w-])({alternatives(COUNT_WORDS)}) (?:({alternatives(COLORS_OF)}) )?({alternatives(CLASSES_OF)})(?![\w'-])"
)


def said_in(facts: RoomFacts, held_out: float = 0.0) -> list[str]:
    """Many lower-case texts about a room and its objects."""
    rng = np.random.default_rng([facts.room.room_id, 5])
    texts = [write_room_text(facts, rng, held_out=held_out).text for _ in range(TEXTS_PER_ROOM)]
    texts += [write_object_text(facts, o.object_id, rng, held_out=held_out).text for o in facts.objects for _ in (1, 2)]
    return [text.lower() for text in texts]


@pytest.fixture(scope="module", params=range(len(ROOMS_OF_ALL)))
def facts(request: pytest.FixtureRequest) -> RoomFacts:
    apartment, room_id = ROOMS_OF_ALL[request.param]
    return read_room_facts(apartment, room_id)


def fitting(facts: RoomFacts, noun: str) -> set[C]:
    """Classes in a room that a noun may mean, or of which what it means is a part."""
    present = {o.object_class for o in facts.objects} | EVERYWHERE
    kinds = CLASSES_OF[noun]
    return {owner for kind in kinds for owner in ({kind} | OWNERS.get(kind, set()))} & present


@pytest.mark.parametrize("held_out", [0.0, 1.0])
def test_every_object_that_is_named_is_there(facts: RoomFacts, held_out: float) -> None:
    for text in said_in(facts, held_out):
        for found in NOUN_PATTERN.finditer(text):
            if CLASSES_OF[found[0]]:
                assert fitting(facts, found[0]), f"{found[0]!r} in {text!r}"


@pytest.mark.parametrize("held_out", [0.0, 1.0])
def test_colors_are_those_of_the_objects(facts: RoomFacts, held_out: float) -> None:
    for text in said_in(facts, held_out):
        for found in COLORED_PATTERN.finditer(text):
            kinds = fitting(facts, found[2])
            if kinds - EVERYWHERE and found[1] not in ("light", "dark", "bright"):
                colors = {o.color for o in facts.objects if o.object_class in kinds}
                assert colors & COLORS_OF[found[1]], f"{found[0]!r} in {text!r}"


def test_numbers_are_exact() -> None:
    num_checked = 0
    for facts in (read_room_facts(*place) for place in ROOMS_OF_ALL):
        for text in said_in(facts):
            for found in COUNTED_PATTERN.finditer(text):
                number, right = COUNT_WORDS[found[1]], right_numbers(facts, found[2], CLASSES_OF[found[3]])
                if right and number != 1:
                    num_checked += 1
                    assert number in right, f"{found[0]!r} in {text!r}"
    assert num_checked > 50


def right_numbers(facts: RoomFacts, color: str | None, kinds: set[C]) -> set[int]:
    """How many objects of a class there are, of a colour if one is said; none for words that are no objects."""
    found = {
        sum(o.object_class is kind and (color is None or o.color in COLORS_OF[color]) for o in facts.objects)
        for kind in kinds
    }
    found |= {number for kind, number in facts.openings if kind in kinds}
    found |= {number for o in facts.objects for kind, number in o.parts if kind in kinds}
    return found | {o.num_chairs for o in facts.objects if C.CHAIR in kinds}


def test_the_room_is_called_what_it_is(facts: RoomFacts) -> None:
    rng = np.random.default_rng(3)
    own = {w.lower() for w in ROOMS[facts.room.room_type].known}
    num_named = 0
    for _ in range(TEXTS_PER_ROOM):
        written = write_room_text(facts, rng)
        if written.room_type is not None:
            num_named += 1
            assert written.room_type is facts.room.room_type
            assert any(name in written.text.lower() for name in own), written.text
    assert num_named > TEXTS_PER_ROOM / 5


def test_named_objects_are_of_the_room_and_the_target_is_among_them(facts: RoomFacts) -> None:
    rng = np.random.default_rng(4)
    ids = {o.object_id for o in facts.objects}
    for object_id in ids:
        assert object_id in write_object_text(facts, object_id, rng).object_ids <= ids


def test_below_a_window_means_below_its_sill() -> None:
    num_found = 0
    for apartment, room_id in ROOMS_OF_ALL:
        below = {o.object_id for o in read_room_facts(apartment, room_id).objects if o.is_below_window}
        bottoms = [o.bottom for o in apartment.openings if o.is_window and room_id in o.room_ids]
        tops = [object_boxes(o).upper_map[2] for o in apartment.furniture if o.object_id in below]
        num_found += len(tops)
        assert all(top < max(bottoms) + 0.06 for top in tops)
    assert num_found


def test_every_class_color_material_room_and_relation_has_words() -> None:
    assert set(NOUNS) == set(C)
    assert set(ROOMS) == set(RoomType)
    assert set(PLACES) == set(Relation)
    assert set(COLORS) == set(materials.COLORS)
    said = {o.material_name for a in APARTMENTS for o in a.furniture} - {""}
    assert said <= set(MATERIALS)


def test_held_out_words_are_no_known_words() -> None:
    known = {w.lower() for words in ALL_WORDS for w in words.known}
    held_out = {w.lower() for words in ALL_WORDS for w in words.held_out}
    assert len(held_out) > 150
    assert known & held_out == set()


def test_training_texts_hold_no_held_out_noun(facts: RoomFacts) -> None:
    secret = {w.lower() for words in (*NOUNS.values(), *COLORS.values(), *ROOMS.values()) for w in words.held_out}
    pattern = re.compile(rf"(?<![\w-])(?:{alternatives(secret)})(?![\w-])")
    assert not [text for text in said_in(facts) if pattern.search(text)]
    assert [text for text in said_in(facts, 1.0) if pattern.search(text)]


def test_texts_are_many_and_have_no_empty_slots(facts: RoomFacts) -> None:
    texts = said_in(facts)
    assert len(set(texts)) > 0.8 * len(texts)
    assert all(re.search(r"\w", text) and not re.search(r"[{}]|  | ,|\bNone\b", text) for text in texts)


def test_the_same_generator_gives_the_same_text() -> None:
    apartment, room_id = ROOMS_OF_ALL[0]
    subject = next(o for o in apartment.furniture if o.room_id == room_id)
    for describe, target in ((describe_freely, room_id), (describe_object_freely, subject.object_id)):
        first, again, other = (describe(apartment, target, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first == again
        assert first != other


def test_what_is_not_there_cannot_be_described() -> None:
    apartment, rng = APARTMENTS[0], np.random.default_rng(0)
    with pytest.raises(DatasetError, match="room id"):
        describe_freely(apartment, 99, rng)
    with pytest.raises(DatasetError, match="piece of furniture"):
        describe_object_freely(apartment, 99_999, rng)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("armchair", "an armchair"),
        ("unframed poster", "an unframed poster"),
        ("utility room", "a utility room"),
        ("shelves full of books", "some shelves full of books"),
        ("something to sit on", "something to sit on"),
        ("vase with flowers", "a vase with flowers"),
        ("canvas", "a canvas"),
    ],
)
def test_articles(phrase: str, expected: str) -> None:
    assert with_article(phrase, "a") == expected


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("bookshelf", "bookshelves"),
        ("shelf with books", "shelves with books"),
        ("chest of drawers", "chests of drawers"),
        ("box", "boxes"),
        ("couch", "couches"),
        ("toy", "toys"),
        ("lavatory", "lavatories"),
    ],
)
def test_plurals(noun: str, expected: str) -> None:
    assert plural(noun) == expected
