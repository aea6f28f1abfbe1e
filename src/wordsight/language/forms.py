"""Forms and names that a dictionary alone reads wrong, checked against the 235,000 captions of Flickr30k and COCO.

``benchmarks/check_forms.py`` lists what is to be decided: forms whose lemma as a noun is another one than the dictionary's, forms
that captions use in the plural only, and pairs of words that stand together far more often than alone.
"""

#: Captions mean the noun, where the dictionary takes a verb, an adjective or a rarer noun.
NOUNS = {
    "skies": "sky", "shelves": "shelf", "leaves": "leaf", "saw": "saw", "saws": "saw", "crosses": "cross", "busses": "bus",
    "propeller": "propeller", "propellers": "propeller", "cola": "cola", "coca-cola": "coca-cola", "chili": "chili",
    "graffiti": "graffiti", "media": "media", "memorabilia": "memorabilia", "veggies": "vegetable", "skiis": "ski",
    "passersby": "passerby", "lei": "lei", "leis": "lei", "ax": "axe", "fixes": "fix", "shades": "shade", "sox": "sock",
    "neighborhood": "neighborhood", "hippie": "hippie", "hippies": "hippie",
}  # fmt: skip

#: Things that come in the plural: "shorts" are not "short", "woods" are not "wood".
PLURALS = frozenset(
    """shorts pants jeans trousers overalls tights leggings pajamas fatigues glasses sunglasses eyeglasses binoculars headphones
    earphones earbuds earmuffs suspenders clothes woods goods contents rapids belongings surroundings furnishings supplies ruins
    blinds bleachers scissors tongs stilts crutches fries fireworks scrubs groceries dreadlocks pigtails goggles""".split()
)

#: Plurals that captions choose with care (a group of men is another thing to see than one man), and comparatives.
KEPT = frozenset("men women children older younger elder smaller larger taller lower higher lighter darker".split())

#: Irregular participles say what is seen, as those in -ed do: "a broken window", "frozen water".
PARTICIPLES = frozenset(
    """broken frozen woven torn worn fallen hidden stuck clad driven drawn lit unlit well-lit backlit dimly-lit overgrown unmade
    handmade horse-drawn run-down half-eaten burnt strewn blown bare unseen sunken""".split()
)

#: Names of two words that mean another thing than their second word, or one thing; all others stay two words.
NAMES = frozenset(
    tuple(name.split())
    for name in """fire hydrant|cell phone|mobile phone|smart phone|pay phone|teddy bear|polar bear|brown bear|stop sign|
    traffic light|traffic signal|parking meter|tank top|ice cream|video game|hot dog|hot air|french fry|french horn|
    french bulldog|french loaf|chain saw|chain link|guinea pig|sea lion|water buffalo|hard hat|martial art|double decker|
    bow tie|remote control|fire engine|fire truck|pool table|dining table|bird feeder|lawn mower|peanut butter|cotton candy|
    roller coaster|roller derby|hula hoop|jungle gym|half pipe|balance beam|barbed wire|polka dot|stainless steel|
    christmas tree|santa claus|big ben|new york|golden gate|shopping cart|baseball bat|baseball glove|tennis racket|
    tennis racquet|punching bag|sleeping bag|rocking chair|grand piano|sewing machine|vending machine|frying pan|
    swimming trunk|swim trunk|seat belt|life jacket|trench coat|lab coat|cherry picker|obstacle course|home plate|
    peace sign|conveyor belt|cable car|hair dryer|blow dryer|school bus|tow truck|dump truck|pickup truck|race car|
    bell pepper|granny smith|guide dog|prairie dog|sea horse|sea urchin|sea slug|sea anemone|sea cucumber|killer whale|
    bald eagle|jack-o lantern|computer mouse|bullet train|paper towel|toilet paper|toilet seat|shower curtain|
    window sill|sheet music|merry-go round|ping-pong ball|ski lift|chair lift|high chair|high heel|flip flop""".replace(
        "\n", ""
    ).split("|")
)

#: Pairs that only say where something is: "on top of the hill" has no garment in it.
PLACES = frozenset({("on", "top"), ("top", "of"), ("at", "top")})
