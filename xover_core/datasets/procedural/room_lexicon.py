# SPDX-License-Identifier: Apache-2.0
"""The nouns of free descriptions: objects, kinds of objects, rooms, and what one does with them.

Each entry has words that training uses, the plainest first, and some that it never sees: how well those are understood
tells what a network makes of words that are new to it.
"""

from __future__ import annotations

from typing import NamedTuple

from xover_core.datasets.procedural.scene import ObjectClass as C
from xover_core.datasets.procedural.scene import RoomType


class Words(NamedTuple):
    """Ways to say one thing: those for training, and those held out from it; the latter may be none."""

    known: tuple[str, ...]
    held_out: tuple[str, ...] = ()


def words(known: str, held_out: str = "") -> Words:
    """Words separated by bars."""
    return Words(tuple(known.split("|")), tuple(w for w in held_out.split("|") if w))


NOUNS: dict[C, Words] = {
    C.OUTSIDE: words("view outside|outdoors|view"),
    C.WALL: words("wall", "partition"),
    C.FLOOR: words("floor|flooring", "ground covering"),
    C.CEILING: words("ceiling"),
    C.DOOR_FRAME: words("door frame|doorframe", "door jamb"),
    C.DOOR: words("door|doorway", "way through"),
    C.WINDOW: words("window|glass window", "casement"),
    C.BASEBOARD: words("baseboard|skirting board|skirting"),
    C.BED: words("bed|bedstead|soft bed", "bunk|sleeping berth"),
    C.SOFA: words("sofa|couch|settee|divan|sofa with cushions|upholstered bench", "chesterfield|davenport"),
    C.ARMCHAIR: words("armchair|easy chair|arm chair|lounge chair|comfy chair|padded chair", "recliner|fauteuil"),
    C.CHAIR: words("chair|side chair|seat with a backrest", "seating chair"),
    C.STOOL: words("stool|low stool|little stool", "backless seat|tabouret"),
    C.TABLE: words("table|dining table|dinner table|kitchen table|eating table", "board table|mess table"),
    C.COFFEE_TABLE: words("coffee table|low table|sofa table|tea table|cocktail table", "occasional table"),
    C.DESK: words(
        "desk|writing desk|work desk|computer desk|writing table|office desk|study desk", "bureau|escritoire"
    ),
    C.NIGHTSTAND: words(
        "nightstand|bedside table|night table|bedside cabinet|bedside chest", "bedside unit|night chest"
    ),
    C.BOOKSHELF: words(
        "bookshelf|bookcase|shelf with books|book shelf|bookrack|shelving unit|set of bookshelves|rack",
        "book stand|bookstack|etagere",
    ),
    C.WARDROBE: words(
        "wardrobe|closet|armoire|clothes cupboard|clothes closet|tall wardrobe", "clothespress|garderobe"
    ),
    C.DRESSER: words("dresser|chest of drawers|highboy|drawer chest|set of drawers", "tallboy|commode"),
    C.CUPBOARD: words(
        "cupboard|sideboard|low cabinet|buffet|credenza|storage cabinet|cabinet with doors", "hutch|locker"
    ),
    C.KITCHEN_COUNTER: words(
        "kitchen counter|counter|worktop|kitchen unit|countertop|row of kitchen cabinets|kitchenette unit",
        "work surface|kitchen bench",
    ),
    C.WALL_CABINET: words("wall cabinet|hanging cupboard|wall cupboard|upper cabinet|overhead cabinet", "wall unit"),
    C.FRIDGE: words("fridge|refrigerator|freezer|fridge freezer|icebox|ice box", "cooler|frig"),
    C.STOVE: words("stove|oven|cooker|hob|cooktop|electric stove|kitchen range", "baking oven|hotplate"),
    C.SINK: words("sink|washbasin|wash basin|basin|hand basin|sink with a tap|bathroom sink", "lavabo|washstand"),
    C.TOILET: words("toilet|WC|loo|toilet bowl|lavatory|toilet seat", "water closet|commode seat"),
    C.BATHTUB: words("bathtub|bath tub|tub|bath|bathing tub", "soaking tub|bathing basin"),
    C.SHOWER: words("shower|shower cabin|shower stall|shower cubicle|walk-in shower|shower tray", "shower enclosure"),
    C.WASHING_MACHINE: words(
        "washing machine|washer|laundry machine|clothes washer|front loader|washing-machine",
        "laundry washer|wash machine",
    ),
    C.MIRROR_CABINET: words("mirror cabinet|mirror|medicine cabinet|bathroom cabinet|bathroom mirror", "looking glass"),
    C.TV: words("TV|television|TV set|telly|flat screen|television set|flatscreen", "tube|smart TV"),
    C.MONITOR: words(
        "monitor|computer screen|computer monitor|PC screen|desktop screen|PC", "computer display|workstation"
    ),
    C.LAPTOP: words("laptop|notebook computer|laptop computer|portable computer", "macbook|ultrabook"),
    C.FLOOR_LAMP: words("floor lamp|standing lamp|standard lamp|tall lamp|floor light", "torchiere|uplighter"),
    C.TABLE_LAMP: words("table lamp|bedside lamp|desk lamp|small lamp|reading lamp", "night light"),
    C.CEILING_LAMP: words(
        "ceiling lamp|ceiling light|pendant lamp|hanging lamp|overhead light", "chandelier|downlight"
    ),
    C.PLANT: words(
        "plant|potted plant|houseplant|pot plant|leafy plant|indoor plant|house plant|plant in a pot",
        "ficus|foliage plant|greenery",
    ),
    C.RUG: words("rug|carpet|floor rug|area rug|mat|floor mat", "throw rug|runner"),
    C.CURTAIN: words("curtain|drape|window curtain|hanging curtain", "window drapery|window hanging"),
    C.PICTURE: words(
        "framed picture|picture|painting|framed painting|framed photo|wall picture|picture in a frame", "canvas|artwork"
    ),
    C.POSTER: words("poster|print|wall poster|pinned poster|unframed poster", "placard|billboard"),
    C.CLOCK: words("clock|wall clock|square clock|hanging clock", "timepiece"),
    C.RADIATOR: words("radiator|heater|heating radiator|central heating radiator", "warm panel"),
    C.BOX: words("box|package|carton|parcel", "crate|packet"),
    C.BASKET: words("basket|wicker basket|woven basket|laundry basket|storage basket", "hamper|pannier"),
    C.VASE: words("vase|flower vase|decorative vase", "urn|amphora"),
    C.BOOKS: words("pile of books|stack of books|heap of books|pile of magazines", "bundle of books|stack of novels"),
    C.CUP: words("cup|mug|coffee cup|tea cup|coffee mug", "teacup|beaker"),
    C.BOTTLE: words("bottle|wine bottle|bottle with a label|glass bottle", "flask|flagon"),
    C.BOWL: words("bowl|fruit bowl|bowl of fruit|bowl with fruit", "dish of fruit|fruit dish"),
    C.CUSHION: words("cushion|pillow|scatter cushion|throw pillow", "bolster|pad"),
    C.TOWEL: words("towel rail|rail with towels|towel rack|towel holder|hanging towel", "towel bar|bath linen"),
    C.WALL_SHELF: words("wall shelf|shelf on the wall|hanging shelf|wall-mounted shelf|floating shelf", "wall ledge"),
    C.SHOE_RACK: words("shoe rack|rack with shoes|shoe shelf|shoe stand|rack for shoes", "footwear rack|boot rack"),
    C.COAT_RACK: words(
        "coat rack|row of coat hooks|coat hanger|clothes hooks board|rack with coats", "hallstand|garment rack"
    ),
    C.MICROWAVE: words("microwave|microwave oven|micro-wave", "microwave cooker"),
    C.TOY: words("toy|kids toy|children's toy|plaything", "kiddie toy"),
    C.BIN: words(
        "bin|waste bin|trash can|dustbin|garbage can|wastebasket|rubbish bin|wastepaper basket|trash bin",
        "refuse bin|litter bin|waste receptacle",
    ),
    C.SWITCH: words("light switch|switch|wall switch", "toggle"),
    C.PIANO: words("piano|upright piano|keyboard instrument", "pianoforte|musical instrument"),
}

KINDS: dict[tuple[C, str], Words] = {
    (C.BED, "double"): words("double bed|queen bed|large double bed|bed for two|marital bed", "two-person bed"),
    (C.BED, "single"): words("single bed|narrow bed|twin bed|bed for one|child's bed", "cot"),
    (C.SOFA, "long"): words("three-seater|long sofa|three-seat sofa|big couch", "lengthy settee"),
    (C.SOFA, "short"): words("loveseat|two-seater|two-seat sofa|small couch", "snuggler"),
    (C.CHAIR, "office"): words("office chair|swivel chair|desk chair|rolling chair|computer chair", "revolving chair"),
    (C.CHAIR, "plain"): words("dining chair|kitchen chair|four-legged chair", "dinette chair"),
    (C.STOOL, "pouf"): words("pouf|ottoman|footstool|pouffe|upholstered stool", "hassock|tuffet"),
    (C.STOOL, "plain"): words("wooden stool|bar stool|milking stool", "timber stool"),
    (C.TOY, "ball"): words("ball|toy ball|play ball", "football"),
    (C.TOY, "blocks"): words("stack of toy blocks|tower of blocks|pile of building blocks|set of blocks", "toy bricks"),
    (C.TOY, "bear"): words("teddy bear|teddy|stuffed bear|plush bear|soft toy|stuffed animal|cuddly toy", "plushie"),
    (C.VASE, "flowers"): words("vase with flowers|vase of flowers|flowers in a vase|bouquet", "posy|nosegay"),
    (C.BOX, "cardboard"): words("cardboard box|moving box|carton|large parcel", "cardboard crate"),
    (C.BOX, "small"): words("small box|little package|small parcel|little box", "packet|small carton"),
    (C.PLANT, "large"): words("large plant|big plant|tall plant|indoor tree|palm", "leafy shrub"),
    (C.PLANT, "small"): words("small plant|little plant|tiny pot plant|small potted plant", "succulent"),
    (C.FRIDGE, "notes"): words(
        "fridge with notes on it|fridge with magnets|refrigerator with pictures on it", "fridge covered in memos"
    ),
    (C.BOOKSHELF, "tall"): words(
        "tall bookshelf|high bookcase|full-height bookshelf|big bookcase", "towering bookcase"
    ),
    (C.BOOKSHELF, "low"): words("low bookshelf|small bookcase|half-height bookcase", "squat bookcase"),
}

VAGUE: dict[C, Words] = {
    C.SOFA: words("something to sit on|seating", "seating furniture"),
    C.ARMCHAIR: words("something to sit on|comfortable seat|cosy seat", "seating furniture"),
    C.CHAIR: words("something to sit on|seat", "seating furniture"),
    C.FLOOR_LAMP: words("lamp|light source", "luminaire"),
    C.TABLE_LAMP: words("lamp|light source", "luminaire"),
    C.BOOKSHELF: words("shelf|shelves full of books|books|place for books", "small library"),
    C.WARDROBE: words("cabinet|place for clothes|big cupboard", "clothes storage"),
    C.CUPBOARD: words("cabinet|storage unit|piece of furniture with doors", "storage furniture"),
    C.DRESSER: words("cabinet|drawers|piece of furniture with drawers", "storage furniture"),
    C.NIGHTSTAND: words("small cabinet|little table|little cupboard", "storage furniture"),
    C.PICTURE: words("wall decoration|art on the wall|wall art", "decor"),
    C.POSTER: words("wall decoration|art on the wall|wall art", "decor"),
    C.MONITOR: words("screen|computer", "display"),
    C.LAPTOP: words("computer|notebook", "electronic device"),
    C.TV: words("screen|big screen|TV corner", "display"),
    C.PLANT: words("something green|leaves", "vegetation"),
    C.TOY: words("toys|something to play with", "playthings"),
    C.BOOKS: words("books|magazines", "reading matter"),
    C.KITCHEN_COUNTER: words("fitted kitchen|kitchen furniture|cooking area", "kitchen fitments"),
    C.COAT_RACK: words("coats|jackets on hooks", "outerwear"),
    C.SHOE_RACK: words("shoes|pairs of shoes", "footwear"),
    C.TOWEL: words("towels", "bath linen"),
    C.BED: words("mattress|place to sleep|place to lie down", "sleeping furniture"),
    C.CURTAIN: words("curtains|drapes|window curtains", "draperies"),
}

ROOMS: dict[RoomType, Words] = {
    RoomType.CORRIDOR: words(
        "corridor|hallway|hall|passage|entrance hall|entryway|foyer|passageway|entrance|lobby",
        "vestibule|anteroom|gangway",
    ),
    RoomType.LIVING_ROOM: words(
        "living room|lounge|sitting room|family room|livingroom|front room|living area|lounge room",
        "parlour|drawing room|salon",
    ),
    RoomType.KITCHEN: words(
        "kitchen|kitchenette|cooking room|eat-in kitchen|kitchen area|cook's room", "galley|scullery"
    ),
    RoomType.BEDROOM: words(
        "bedroom|sleeping room|bed room|guest room|master bedroom|bedchamber|sleeping area", "dormitory|boudoir"
    ),
    RoomType.BATHROOM: words(
        "bathroom|bath|washroom|restroom|bath room|toilet room|WC|lavatory|wet room", "powder room|ablutions|ensuite"
    ),
    RoomType.OFFICE: words(
        "office|study|home office|workroom|work room|workspace|study room|working room|office room",
        "den|secretariat",
    ),
    RoomType.DINING_ROOM: words(
        "dining room|dining area|eating room|dinner room|eating area|dining-room", "refectory|breakfast room"
    ),
    RoomType.CHILDRENS_ROOM: words(
        "children's room|kids' room|kid's bedroom|nursery|child's room|playroom|kids bedroom|"
        "child's bedroom|boy's room|room of the children",
        "youngster's room|little ones' room",
    ),
    RoomType.STORAGE: words(
        "storage|storage room|storeroom|store room|utility room|box room|pantry", "larder|lumber room"
    ),
}

USES: tuple[tuple[tuple[frozenset[C], ...], Words], ...] = (
    ((frozenset({C.BED}),), words("sleep|take a nap|go to bed|lie down|rest at night|spend the night", "snooze|doze")),
    (
        (frozenset({C.KITCHEN_COUNTER}),),
        words(
            "cook|make dinner|prepare food|cook a meal|fry an egg|bake a cake|make lunch",
            "whip up supper|roast a chicken",
        ),
    ),
    ((frozenset({C.SINK, C.KITCHEN_COUNTER}),), words("wash my hands|wash your hands|get some water", "rinse a cup")),
    ((frozenset({C.MIRROR_CABINET}),), words("brush my teeth|shave|comb my hair|look in the mirror", "put on makeup")),
    ((frozenset({C.BATHTUB}),), words("take a bath|have a bath|bathe", "soak in hot water")),
    ((frozenset({C.SHOWER}),), words("take a shower|have a shower|shower", "shower off")),
    ((frozenset({C.TOILET}),), words("go to the toilet|use the loo|pee|use the toilet", "relieve myself")),
    ((frozenset({C.WASHING_MACHINE}),), words("do the laundry|wash clothes|wash my shirts", "launder shirts")),
    (
        (frozenset({C.TV}),),
        words("watch TV|watch a film|see the news|watch a movie|play video games", "stream a series"),
    ),
    (
        (frozenset({C.DESK}),),
        words("work|study|write a letter|do homework|sit at a computer|use a desk", "do paperwork"),
    ),
    (
        (frozenset({C.BOOKSHELF}), frozenset({C.SOFA, C.ARMCHAIR, C.BED, C.CHAIR})),
        words("read|read a book|find a novel to read|sit and read", "leaf through a magazine"),
    ),
    ((frozenset({C.COAT_RACK}),), words("hang my coat|leave my jacket|hang up a jacket", "take off an overcoat")),
    ((frozenset({C.SHOE_RACK}),), words("take off my shoes|leave my shoes|put on shoes", "park my sneakers")),
    ((frozenset({C.PIANO}),), words("play the piano|make music|play music", "practise scales")),
    (
        (frozenset({C.TABLE}), frozenset({C.CHAIR})),
        words("eat|have dinner|have breakfast|eat together|have a meal|sit at a table", "dine|have supper"),
    ),
    ((frozenset({C.SOFA, C.ARMCHAIR}),), words("relax|sit comfortably|rest|sit down|put my feet up", "lounge about")),
    ((frozenset({C.TOY}),), words("play|play with toys|play with the children", "have fun with kids")),
    (
        (frozenset({C.FRIDGE}),),
        words("keep food cold|get a cold drink|store milk|get something to eat", "chill a beer"),
    ),
    ((frozenset({C.MICROWAVE}),), words("heat up food|warm up a meal", "reheat soup")),
    ((frozenset({C.BIN}),), words("throw away rubbish|throw something away|drop trash", "discard litter")),
    ((frozenset({C.CLOCK}),), words("check the time|see what time it is", "learn the hour")),
    (
        (frozenset({C.WARDROBE, C.DRESSER}),),
        words("keep clothes|get dressed|store clothes|find a shirt", "get changed"),
    ),
)
"""What one can do where objects of all these groups are: one of each group is enough."""
