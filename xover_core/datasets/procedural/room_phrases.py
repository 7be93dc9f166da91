# SPDX-License-Identifier: Apache-2.0
"""Phrases about a room and its objects in ever different words: `the big red sofa by the window`, `two oak chairs`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from xover_core.datasets.procedural import room_wording as wording
from xover_core.datasets.procedural.room_facts import ObjectFacts, RoomFacts
from xover_core.datasets.procedural.room_lexicon import KINDS, NOUNS, ROOMS, USES, VAGUE, Words
from xover_core.datasets.procedural.room_traits import (
    class_trait,
    count_traits,
    group_traits,
    kind_trait,
    look_trait,
    room_trait,
)
from xover_core.datasets.procedural.scene import ObjectClass as C
from xover_core.datasets.procedural.spatial_relations import FoundRelation, Relation

_T = TypeVar("_T")

# What people name first. All else weighs 1.
_WEIGHTS: dict[C, float] = {
    **dict.fromkeys(
        (
            C.BED, C.SOFA, C.TABLE, C.DESK, C.KITCHEN_COUNTER, C.FRIDGE, C.TOILET, C.BATHTUB, C.SHOWER, C.WARDROBE,
            C.BOOKSHELF, C.TV, C.PIANO, C.WASHING_MACHINE, C.SINK,
        ),
        4.0,
    ),
    **dict.fromkeys(
        (
            C.ARMCHAIR, C.CHAIR, C.COFFEE_TABLE, C.DRESSER, C.CUPBOARD, C.RUG, C.FLOOR_LAMP, C.CURTAIN, C.NIGHTSTAND,
            C.STOOL,
        ),
        2.0,
    ),
    **dict.fromkeys((C.CUP, C.BOTTLE, C.BOX, C.BOOKS, C.CEILING_LAMP, C.PICTURE, C.POSTER), 0.5),
}  # fmt: skip
# Their colour is that of a part, and only said so.
_COLOR_OF_PART = (C.TV, C.SHOWER, C.PLANT, C.SINK, C.TABLE_LAMP, C.CLOCK, C.TOWEL)
_HEAD_END = re.compile(r" (?:with|of|in|on|to|for|full|covered|where|who|about|around|roughly|measuring)\b")
_UNCOUNTED = (
    "seating", "furniture", "wall art", "art", "decor", "vegetation", "matter", "storage", "outerwear", "footwear",
    "linen", "foliage", "greenery", "parquet", "flooring", "laminate", "carpeting", "terrazzo", "stone",
)  # fmt: skip
_SINGULAR_S = ("canvas",)
# an adjective that the noun has already: `small small plant`
_REPEATED = re.compile(r"\b(\w+)(?: \1\b)+")


def weight_of(object_class: C) -> float:
    """How much more often than other things one of this class is named."""
    return _WEIGHTS.get(object_class, 1.0)


def with_article(phrase: str, article: str) -> str:
    """A noun phrase with `a` (`an`, `some`), `the` or nothing before it."""
    if not article or phrase.startswith("some"):
        return phrase
    if article == "the":
        return f"the {phrase}"
    head = _HEAD_END.split(phrase)[0]
    if head.endswith(_UNCOUNTED) or (head.endswith("s") and not head.endswith(("ss", *_SINGULAR_S))):
        return f"some {phrase}"
    sounds_like_vowel = phrase[0].lower() in "aeiou" and not phrase.startswith(("uni", "use", "uti", "one"))
    return f"{'an' if sounds_like_vowel else 'a'} {phrase}"


def plural(noun: str) -> str:
    """The plural of a noun, of its head when words follow: `chests of drawers`."""
    found = _HEAD_END.search(noun)
    head, tail = (noun[: found.start()], noun[found.start() :]) if found else (noun, "")
    if head.endswith("shelf"):
        return head[:-1] + "ves" + tail
    if head.endswith("y") and head[-2] not in "aeiou":
        return head[:-1] + "ies" + tail
    return head + ("es" if head.endswith(("s", "x", "ch", "sh")) else "s") + tail


class PhraseWriter:
    """Draws phrases about one room; remembers which objects they name, and what they say (`room_traits`)."""

    def __init__(self, facts: RoomFacts, rng: np.random.Generator, *, held_out: float = 0.0) -> None:
        """Write about a room.

        Args:
            facts: of the room.
            rng: decides everything.
            held_out: share of the words, where there is a choice, that are of those which training never sees.
        """
        self.facts = facts
        self.rng = rng
        self.held_out = held_out
        self.named_ids: set[int] = set()
        self.said: set[str] = set()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def choose(self, items: Sequence[_T], weights: Sequence[float] | None = None) -> _T:
        """One of several."""
        if weights is None:
            return items[int(self.rng.integers(len(items)))]
        shares = np.cumsum(weights)
        return items[int(np.searchsorted(shares, self.rng.random() * shares[-1], side="right"))]

    def say(self, words: Words) -> str:
        """One of the words for a thing, the plainest a little more often."""
        if self.held_out and words.held_out and self.chance(self.held_out):
            return self.choose(words.held_out)
        return words.known[0] if self.chance(0.25) else self.choose(words.known)

    def choose_object(self, objects: Sequence[ObjectFacts]) -> ObjectFacts:
        """One of several objects, rather a large one."""
        return self.choose(objects, [weight_of(o.object_class) for o in objects])

    def object_phrase(self, subject: ObjectFacts, article: str, *, place: FoundRelation | None = None) -> str:
        """An object with some of what is known of it, and where it is when `place` is one of its relations."""
        self.named_ids.add(subject.object_id)
        self.said.add(class_trait(subject.object_class))
        if subject.object_class in VAGUE and self.chance(0.07):
            phrase = with_article(self.say(VAGUE[subject.object_class]), article)
        else:
            tails = self._tails(subject)
            before = self._adjectives(subject, may_have_color=not tails)
            noun = _REPEATED.sub(r"\1", " ".join([*before, self._noun(subject)]))
            phrase = " ".join([with_article(noun, article), *tails])
        return phrase if place is None else f"{phrase} {self.place_phrase(place, subject)}"

    def group_phrase(self, group: Sequence[ObjectFacts], color: str = "") -> str:
        """Several objects of a class, and of a colour if one is given; they must be all of these in the room."""
        self.named_ids.update(o.object_id for o in group)
        self.said |= group_traits(group, color)
        noun = plural(self.say(NOUNS[group[0].object_class]))
        adjective = f"{self.say(wording.COLORS[color])} " if color else ""
        return f"{self.number(len(group))} {adjective}{noun}"

    def number(self, count: int) -> str:
        """Digits, a word, or an amount such as `a couple of`."""
        if self.chance(0.3):
            for low, high, amounts in wording.AMOUNTS:
                if low <= count <= high:
                    return self.say(amounts)
        return str(count) if count >= len(wording.NUMBERS) or self.chance(0.35) else wording.NUMBERS[count]

    def place_phrase(self, found: FoundRelation, subject: ObjectFacts) -> str:
        """Where an object is: `next to the bed`; the subject may be either side of the relation."""
        if found.subject_id != subject.object_id:
            other = self.object_phrase(self.facts.object(found.subject_id), "a")
            return self.say(wording.INVERSE_PLACES[found.relation]).replace("{a}", other)
        if found.relation is Relation.NEAR_WINDOW and subject.is_below_window and self.chance(0.7):
            return self.say(wording.BELOW_WINDOW)
        phrase = self.say(wording.PLACES[found.relation])
        if not found.object_id:
            return phrase
        other = self.object_phrase(self.facts.object(found.object_id), self.choose(("the", "the", "a")))
        return phrase.replace("{b}", other)

    def places_of(self, subject: ObjectFacts) -> list[FoundRelation]:
        """The relations from which a place of an object can be told."""
        return [r for r in self.facts.relations if subject.object_id in (r.subject_id, r.object_id)]

    def choose_place(self, subject: ObjectFacts) -> FoundRelation | None:
        """One of them, rather one to something large; None when there is none."""
        places = self.places_of(subject)
        if not places:
            return None
        others = [r.object_id if r.subject_id == subject.object_id else r.subject_id for r in places]
        weights = [weight_of(self.facts.object(i).object_class) if i else 2.5 for i in others]
        return self.choose(places, weights)

    def room_phrase(self, *, is_named: bool) -> str:
        """The room without an article: by its name, by what one does in it, or just as a room."""
        if is_named:
            head = self.say(ROOMS[self.facts.room.room_type])
            self.said.add(room_trait(self.facts.room.room_type))
        elif self.facts.uses and self.chance(0.3):
            head = self.say(wording.PLACE_TO).replace("{use}", self.use())
        else:
            head = self.say(wording.HEADS)
        count = int(self.choose((0, 1, 2), (0.55, 0.37, 0.08)))
        moods = [self.facts.moods[i] for i in self.rng.permutation(len(self.facts.moods))[:count]]
        self.said.update(f"mood:{mood}" for mood in moods)
        phrase = " ".join([*(self.say(wording.MOODS[m]) for m in moods), head])
        return f"{phrase} {self._dimensions()}" if self.chance(0.05) else phrase

    def use(self) -> str:
        """Something that one can do in the room, which must have a use."""
        number = self.choose(self.facts.uses)
        self.said.add(f"use:{number}")
        return self.say(USES[number][1])

    def _noun(self, subject: ObjectFacts) -> str:
        kind = KINDS.get((subject.object_class, subject.kind))
        if kind is None or not self.chance(0.35):
            return self.say(NOUNS[subject.object_class])
        self.said.add(kind_trait(subject.object_class, subject.kind))
        return self.say(kind)

    def _color(self, subject: ObjectFacts) -> str:
        shade = wording.SHADE_OF.get(subject.color)
        if shade is not None and self.chance(0.08):
            return self.say(wording.SHADES[shade])
        self.said.add(look_trait(subject.object_class, subject.color))
        return self.say(wording.COLORS[subject.color])

    def _adjectives(self, subject: ObjectFacts, *, may_have_color: bool) -> list[str]:
        """Size, shape, colour, material, in this order, each now and then."""
        found = []
        if subject.size and self.chance(0.25):
            found.append(self.say(wording.SIZES[subject.size]))
            self.said.add(kind_trait(subject.object_class, subject.size))
        if subject.shape and self.chance(0.45 if subject.shape == "round" else 0.15):
            found.append(self.say(wording.SIZES[subject.shape]))
            self.said.add(kind_trait(subject.object_class, subject.shape))
        is_part = subject.object_class in _COLOR_OF_PART
        if subject.color and may_have_color and not is_part and self.chance(0.55):
            found.append(self._color(subject))
        if subject.material and not is_part and self.chance(0.45):
            found.append(self.say(wording.MATERIALS[subject.material]))
            self.said.add(look_trait(subject.object_class, subject.material))
        return found

    def _tails(self, subject: ObjectFacts) -> list[str]:
        """What follows the noun: the colour of a part, things that belong to it, chairs around it; mostly nothing."""
        kind, tails = subject.object_class, []
        if subject.color and self.chance(0.35) and (kind in wording.WITH_COLOR or self.chance(0.2)):
            color = self._color(subject)
            tail = self.say(wording.WITH_COLOR.get(kind, wording.IN_COLOR))
            tails.append(tail.replace("a {c}", with_article(color, "a")).replace("{c}", color))
        if subject.num_chairs and self.chance(0.3):
            chairs = plural(self.say(NOUNS[C.CHAIR]))
            self.said |= {class_trait(C.CHAIR), *count_traits(C.CHAIR, subject.num_chairs)}
            number = self.number(subject.num_chairs)
            tails.append(self.say(wording.AROUND).replace("{n}", number).replace("{a}", chairs))
        elif subject.parts and self.chance(0.12):
            part, count = self.choose(subject.parts)
            noun = self.say(NOUNS[part])
            self.said.add(class_trait(part))
            tails.append(f"with {with_article(noun, 'a') if count == 1 else f'{count} {plural(noun)}'}")
        return tails

    def _dimensions(self) -> str:
        """The size of the room in metres."""
        (x0, y0), (x1, y1) = self.facts.room.lower, self.facts.room.upper
        text = self.say(wording.DIMENSIONS).replace("{area}", str(round(self.facts.room.area)))
        return text.replace("{x}", str(round(x1 - x0))).replace("{y}", str(round(y1 - y0)))
