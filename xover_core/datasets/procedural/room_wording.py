# SPDX-License-Identifier: Apache-2.0
"""The other words of free descriptions: colours, materials, sizes, places, moods, and frames of sentences."""

from __future__ import annotations

from xover_core.datasets.procedural.room_lexicon import Words, words
from xover_core.datasets.procedural.scene import ObjectClass as C
from xover_core.datasets.procedural.spatial_relations import Relation

COLORS: dict[str, Words] = {
    "red": words("red|crimson|scarlet|dark red|maroon|ruby|bright red|reddish", "burgundy|vermilion"),
    "orange": words("orange|tangerine|amber|pumpkin orange|orangey", "apricot|rust-orange"),
    "yellow": words("yellow|mustard|golden|lemon yellow|mustard yellow|yellowish", "ochre|saffron"),
    "green": words("green|olive|forest green|grass green|moss green|greenish", "emerald|sage"),
    "turquoise": words("turquoise|teal|aqua|cyan|blue-green|greenish blue", "aquamarine|petrol"),
    "blue": words("blue|navy|navy blue|royal blue|dark blue|deep blue|bluish", "cobalt|indigo"),
    "light blue": words("light blue|pale blue|sky blue|baby blue|light-blue|pastel blue", "azure|powder blue"),
    "purple": words("purple|violet|plum|dark purple|purplish|lavender", "mauve|aubergine"),
    "pink": words("pink|rose|salmon|light pink|rosy|pale pink", "blush|peach"),
    "brown": words("brown|chocolate brown|chestnut|dark brown|brownish|chocolate", "umber|sepia"),
    "beige": words("beige|cream|sand-coloured|tan|cream-colored|khaki|sandy", "ecru|oatmeal"),
    "white": words("white|off-white|ivory|snow white|pure white|whitish", "alabaster|chalky"),
    "grey": words("grey|gray|silver grey|light grey|light gray|greyish|medium gray", "pewter|ashen"),
    "dark grey": words("dark grey|dark gray|charcoal|anthracite|dark-grey|slate grey", "graphite|gunmetal"),
    "black": words("black|jet black|deep black|blackish|pitch black", "ebony|sable"),
}
SHADES: dict[str, Words] = {
    "dark": words("dark|dark-coloured|dark colored", "dusky"),
    "light": words("light|pale|light-coloured|light colored", "whitish-toned"),
    "bright": words("bright|colourful|brightly coloured|vivid|colorful", "garish"),
}
SHADE_OF: dict[str, str] = {
    "black": "dark",
    "dark grey": "dark",
    "brown": "dark",
    "blue": "dark",
    "purple": "dark",
    "white": "light",
    "beige": "light",
    "light blue": "light",
    "pink": "light",
    "red": "bright",
    "orange": "bright",
    "yellow": "bright",
    "turquoise": "bright",
}
MATERIALS: dict[str, Words] = {
    "wooden": words("wooden|wood|oak|timber|solid wood|woody", "hardwood"),
    "light wooden": words("light wooden|light wood|pale wooden|birch|pine|beech|blond wood", "maple"),
    "dark wooden": words("dark wooden|dark wood|walnut|dark oak|dark brown wooden", "wenge"),
    "reddish wooden": words("reddish wooden|cherry wood|red-brown wooden|mahogany|reddish wood", "rosewood"),
    "grey wooden": words("grey wooden|gray wood|weathered wood|greyish wooden", "driftwood"),
    "metal": words("metal|steel|metallic", "iron"),
    "striped": words("striped|stripy|stripe-patterned", "banded"),
    "patterned": words("patterned|printed|decorated", "ornamented"),
    "checked": words("checked|checkered|chequered|plaid", "gingham"),
    "granite": words("granite|stone|granite-topped", "speckled stone"),
    "marble": words("marble|stone|marble-topped", "veined stone"),
}
SIZES: dict[str, Words] = {
    "long": words("long|wide|big|large|broad", "lengthy|sizeable"),
    "short": words("small|short|little|compact|narrow", "petite|diminutive"),
    "tall": words("tall|high|big|large", "towering|lofty"),
    "low": words("low|small|short|little", "squat|stubby"),
    "round": words("round|circular|round-shaped", "disc-shaped"),
    "rectangular": words("rectangular|square-cornered|oblong", "four-cornered"),
}
MOODS: dict[str, Words] = {
    "large": words("large|big|spacious|roomy|huge|wide", "ample|sizeable"),
    "small": words("small|tiny|little|narrow|compact|cramped", "poky|minuscule"),
    "long": words("long|elongated|narrow|long narrow|stretched", "drawn-out"),
    "square": words("square|square-shaped", "equilateral"),
    "bright": words("bright|sunny|light|airy|light-filled", "luminous|sunlit"),
    "windowless": words("windowless|dark", "inner"),
    "cluttered": words("cluttered|full|crowded|packed|busy|messy|lived-in", "jam-packed|overstuffed"),
    "sparse": words("bare|almost empty|sparsely furnished|tidy|minimalist|uncluttered", "spartan|austere"),
    "cosy": words("cosy|cozy|comfortable|comfy|homely|snug|inviting", "homey|welcoming"),
    "colourful": words("colourful|colorful|multi-coloured|vibrant", "kaleidoscopic"),
    "green": words("leafy|plant-filled|green", "verdant"),
    "decorated": words("decorated|artistic|well-decorated", "gallery-like"),
}
FLOORS: dict[str, Words] = {
    "planks": words("wooden floor|wood floor|floorboards|plank floor|board floor", "laminate"),
    "parquet": words("parquet|parquet floor|wooden floor|wood flooring", "herringbone floor"),
    "carpet": words("carpeted floor|fitted carpet|wall-to-wall carpet|soft floor|carpet flooring", "carpeting"),
    "tiles": words("tiled floor|floor tiles|tiles on the floor|tile floor", "paved floor"),
    "checker": words("checkered floor|chequered tiles|chessboard floor|checkerboard floor", "harlequin floor"),
    "marble": words("marble floor|stone floor|smooth stone floor", "polished stone"),
    "granite": words("granite floor|stone floor|speckled floor", "terrazzo"),
}

WITH_COLOR: dict[C, Words] = {
    C.BED: words(
        "with {c} cover|with a {c} blanket|with a {c} bedspread|with {c} bedding|with a {c} duvet|"
        "covered in {c}|with {c} sheets on it",
        "with a {c} quilt|with a {c} counterpane",
    ),
    C.SHOWER: words("with a {c} curtain|with a {c} shower curtain", "with a {c} drape"),
    C.PLANT: words("in a {c} pot|with a {c} pot|in a {c} flowerpot", "in a {c} planter"),
    C.SINK: words("on a {c} cabinet|with a {c} cabinet below|with {c} doors", "on a {c} vanity"),
    C.KITCHEN_COUNTER: words("with {c} fronts|with {c} cabinets|with {c} cupboards|with {c} doors", "with {c} facades"),
    C.TV: words("on a {c} board|on a {c} TV stand|on a {c} cabinet|on a {c} TV bench", "on a {c} console"),
    C.TABLE_LAMP: words("with a {c} foot|with a {c} base", "with a {c} pedestal"),
    C.SOFA: words("with {c} upholstery|covered in {c} cloth|with {c} fabric", "with {c} textile"),
    C.ARMCHAIR: words("with {c} upholstery|covered in {c} cloth", "with {c} textile"),
    C.CHAIR: words("with a {c} seat", "with a {c} cushioned seat"),
    C.CLOCK: words("with a {c} frame", "with a {c} rim"),
    C.TOWEL: words("with {c} towels|with a {c} towel", "with {c} bath linen"),
}
"""How to say the colour of the part that has it."""
IN_COLOR = words("in {c}|that is {c}|which is {c}|painted {c}", "of {c} colour")

PLACES: dict[Relation, Words] = {
    Relation.ON: words(
        "on {b}|on top of {b}|standing on {b}|lying on {b}|that is on {b}|which stands on {b}",
        "atop {b}|resting upon {b}",
    ),
    Relation.NEXT_TO: words(
        "next to {b}|beside {b}|by {b}|close to {b}|near {b}|right next to {b}|alongside {b}|"
        "that is next to {b}|standing by {b}|at {b}|not far from {b}",
        "adjacent to {b}|flanking {b}",
    ),
    Relation.IN_FRONT_OF: words(
        "in front of {b}|standing in front of {b}|placed before {b}|just in front of {b}|near {b}", "ahead of {b}"
    ),
    Relation.LEFT_OF: words(
        "left of {b}|to the left of {b}|on the left of {b}|on the left side of {b}|beside {b}|near {b}",
        "at the left hand of {b}",
    ),
    Relation.RIGHT_OF: words(
        "right of {b}|to the right of {b}|on the right of {b}|on the right side of {b}|beside {b}|near {b}",
        "at the right hand of {b}",
    ),
    Relation.ABOVE: words(
        "above {b}|over {b}|hanging over {b}|on the wall above {b}|hung above {b}", "higher up than {b}"
    ),
    Relation.NEAR_WINDOW: words(
        "next to the window|by the window|near the window|close to the window|at the window|"
        "beside the window|near a window",
        "adjacent to the window|in the daylight",
    ),
    Relation.NEAR_DOOR: words(
        "near the door|by the door|next to the door|beside the doorway|close to the door|at the entrance|"
        "near the entrance",
        "adjacent to the exit|at the threshold",
    ),
    Relation.IN_CORNER: words(
        "in the corner|in a corner|standing in the corner|in the corner of the room", "in a nook"
    ),
    Relation.ON_WALL: words("on the wall|hanging on the wall|on a wall|hung on the wall", "affixed to the wall"),
}
BELOW_WINDOW = words(
    "under the window|below the window|beneath the window|in front of the window", "underneath the window"
)
INVERSE_PLACES: dict[Relation, Words] = {
    Relation.ON: words("with {a} on it|with {a} on top|holding {a}|under {a}", "bearing {a}"),
    Relation.NEXT_TO: words("with {a} next to it|with {a} beside it|with {a} close by|near {a}", "with {a} adjacent"),
    Relation.IN_FRONT_OF: words("with {a} in front of it|with {a} in front|behind {a}", "to the rear of {a}"),
    Relation.LEFT_OF: words(
        "with {a} to its left|with {a} on its left|with {a} beside it", "with {a} at its left hand"
    ),
    Relation.RIGHT_OF: words(
        "with {a} to its right|with {a} on its right|with {a} beside it", "with {a} at its right hand"
    ),
    Relation.ABOVE: words(
        "under {a}|below {a}|with {a} above it|beneath {a}|with {a} hanging above it", "underneath {a}"
    ),
}
AROUND = words("with {n} {a} around it|surrounded by {n} {a}|with {n} {a}", "encircled by {n} {a}")

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
AMOUNTS: tuple[tuple[int, int, Words], ...] = (
    (2, 2, words("a pair of|a couple of", "twin")),
    (3, 4, words("a few|several|some", "a handful of")),
    (5, 99, words("many|lots of|a lot of|plenty of|several|numerous", "a multitude of")),
)
"""Smallest and largest number that each of the words may stand for."""

HEADS = words("room|place|room|space|one|area|spot", "chamber|interior")
PLACE_TO = words(
    "place to {use}|room to {use}|place where I can {use}|room where you can {use}|"
    "room where people {use}|spot to {use}|room in which to {use}|place where one can {use}|"
    "room for someone who wants to {use}",
    "venue to {use}|locale where folks may {use}",
)
WISHES = words(
    "where can I {use}?|I want to {use}|I need to {use}|where could one {use}?|somewhere to {use}|"
    "where to {use}|take me somewhere I can {use}|you can {use} here|"
    "it is for people who want to {use}|to {use}|a place to {use}|people come here to {use}|"
    "I would like to {use}",
    "feel like I must {use}|whither to {use}",
)
WITH_LIST = words(
    "{the_room} with {list}|{a_room} with {list}|{room} with {list}|find {the_room} with {list}|"
    "where is {the_room} with {list}?|take me to {the_room} with {list}|"
    "go to {the_room} that has {list}|I am looking for {a_room} with {list}|"
    "I'm searching for {the_room} with {list}|which room has {list}?|"
    "show me {a_room} that contains {list}|{the_room} where there is {list}|I see {list}|"
    "in {the_room} I can see {list}|this is {a_room} with {list}|"
    "please drive to {the_room} with {list}|is there {a_room} with {list}?|"
    "there is {list} in {the_room}|{list} in {the_room}|{list}|{a_room}; it has {list}|"
    "a photo of {a_room} with {list}|{the_room} that has {list}|{the_room} containing {list}|"
    "somewhere with {list}|{room} and {list}|I am in {a_room} with {list}|"
    "navigate to {the_room} with {list}|do you know {the_room} with {list}?|a picture of {list}|"
    "{a_room}, there is {list}|it is {the_room} where we have {list}|"
    "bring this to {the_room} with {list}|{the_room} which has {list}|{a_room} including {list}",
    "head for {the_room} featuring {list}|could someone locate {a_room} furnished with {list}|"
    "my destination is {the_room} equipped with {list}|{a_room} boasting {list}|"
    "kindly identify {a_room} accommodating {list}",
)
FRAGMENTS = words(
    "{room}: {fragments}|{room}, {fragments}|{fragments}|{fragments}, {room}|{room} ({fragments})|"
    "{room} - {fragments}|{room} {fragments}|{room}. {fragments}",
    "{room} // {fragments}",
)
OPENINGS = words(
    "This is {a_room}.|We are in {a_room}.|It is {a_room}.|{a_room}.|You are in {a_room}.|"
    "Imagine {a_room}.|I am standing in {a_room}.|The picture shows {a_room}.",
    "Welcome to {a_room}.|Behold {a_room}.",
)
STATEMENTS = words(
    "There is {np}.|{np}.|It has {np}.|You can see {np}.|I see {np}.|The room has {np}.|"
    "Inside there is {np}.|Also {np}.|You will find {np} there.|In it we have {np}.|And {np}.|"
    "There you find {np}.|{np} too.|It contains {np}.|I remember {np}.|I noticed {np}.",
    "One spots {np}.|It comes with {np}.|{np} catches the eye.",
)
OBJECT_QUERIES = words(
    "where is {the}?|find {the}|go to {the}|take me to {the}|the room with {the}|show me {the}|{the}|"
    "{a}|{bare}|look for {the}|I am looking for {the}|where can I find {a}?|drive to {the}|"
    "bring me to {the}|which room has {the}?|where's {the}|do you see {the}?|there is {a}|I need {a}|"
    "search for {a}|point at {the}|stop at {the}|it is {the}|I left my keys at {the}|is there {a}?|"
    "please go to {the}|wait next to {the}|{the}, please",
    "head towards {the}|locate {the}|kindly approach {the}|any idea about {the}|whereabouts of {the}",
)
VERBS = words("is|stands|is standing|can be found|sits", "is located|is situated")
DIMENSIONS = words(
    "of about {area} square metres|about {x} by {y} metres|{x} x {y} m|around {area} m2|"
    "roughly {x} by {y} meters|{area} square meters",
    "measuring some {x} by {y} metres",
)
