"""The tasks of benchmarks/shortcuts.py: two classes, and an attribute that goes along with one of them.

Classes and attributes are defined by what people wrote: an attribute holds when at least two of a photograph's captions use one
of its words (one, if it has fewer than four captions), and is absent when none does. The same words count as naming it when a
finding says them; SYNONYMS adds others that name the same thing.
"""

from dataclasses import dataclass

#: Words of captions, as they are written there, that name a class or an attribute.
WORDS = {
    "dog": "dog dogs puppy puppies poodle terrier retriever collie greyhound greyhounds dachshund",
    "person": "man men woman women boy boys girl girls person people child children kid kids lady guy player players toddler "
    "baby",
    "man": "man men guy guys gentleman",
    "woman": "woman women lady ladies",
    "child": "child children kid kids boy boys girl girls toddler toddlers baby",
    "adult": "man men woman women lady guy adult adults gentleman",
    "water": "water ocean sea lake river pool wave waves pond swimming surf surfing surfer swim swims stream beach puddle",
    "grass": "grass grassy lawn meadow field",
    "snow": "snow snowy snowboard snowboarder snowboarding ski skier skiing skis sled",
    "sand": "sand sandy beach",
    "red": "red",
    "blue": "blue",
    "black": "black",
    "hat": "hat hats cap caps helmet helmets",
    "street": "street streets sidewalk road city",
    "ball": "ball balls soccer football basketball tennis baseball",
    "shirt": "shirt",
    "run": "run runs running",
    "jump": "jump jumps jumping jumped leaps leaping",
    "sit": "sit sits sitting",
    "stand": "stand stands standing",
    "play": "play plays playing",
    "white": "white",
    # COCO's and the interiors' photographs.
    "animal": "dog dogs puppy cat cats kitten horse horses cow cows sheep elephant elephants giraffe giraffes zebra zebras bear "
    "bears bird birds animal animals",
    "grazer": "giraffe giraffes zebra zebras elephant elephants horse horses cow cows sheep",
    "vehicle": "train trains bus buses car cars truck trucks motorcycle motorcycles airplane airplanes boat boats plane planes "
    "bicycle bicycles bike bikes jet jets",
    "food": "food pizza sandwich sandwiches cake plate plates salad meal fruit fruits vegetable vegetables",
    "seat": "chair chairs couch couches sofa sofas bench benches stool stools",
    "indoors": "room kitchen bathroom bedroom table bed couch counter wall walls floor ceiling",
    "outdoors": "street field tree trees grass sky beach road snow water ocean mountain building buildings",
}
#: Other words for the same thing.
SYNONYMS = {
    "water": "shore wet swimmer splash splashing diving creek dock boat raft",
    "grass": "green lawn yard",
    "snow": "ice icy slope winter hill slide snowball",
    "sand": "shore ocean",
    "ball": "field team uniform game goal kick kicking play playing court",
    "street": "car traffic",
    "sit": "seat chair couch bench",
    "run": "chase chasing",
    "jump": "air leap",
    "person": "people group hand hands holding wearing rider riding",
}


@dataclass(frozen=True)
class Task:
    """Class ``a`` goes along with attribute ``x``, class ``b`` with ``y`` (None: with the absence of ``x``), in these sets."""

    a: str
    b: str
    x: str
    y: str | None = None
    sets: tuple[str, ...] = ("flickr8k",)

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.a} / {self.b}, {self.x} / {self.y or 'none'}"


#: Every set with captions of scenes.
ALL = ("flickr8k", "coco_small", "ade_interiors")
TASKS = (
    Task("dog", "person", "water", "grass"),
    Task("dog", "person", "snow", "grass"),
    Task("dog", "person", "sand", "grass"),
    Task("dog", "person", "water"),
    Task("dog", "person", "grass"),
    Task("dog", "person", "snow"),
    Task("dog", "person", "red"),
    Task("dog", "person", "black"),
    Task("dog", "person", "ball"),
    Task("dog", "person", "run"),
    Task("child", "man", "water"),
    Task("child", "man", "red"),
    Task("child", "man", "blue"),
    Task("child", "man", "ball"),
    Task("child", "man", "shirt"),
    Task("child", "man", "sit"),
    Task("dog", "child", "water", "grass"),
    Task("dog", "child", "grass"),
    Task("dog", "child", "water"),
    Task("dog", "man", "water"),
    Task("dog", "man", "ball"),
    # Colours of coats and garments, who does what.
    Task("dog", "person", "white"),
    Task("dog", "person", "black", "white"),
    Task("child", "man", "blue", "red"),
    Task("child", "man", "stand"),
    Task("dog", "child", "play"),
    # Of the interiors alone no group has enough photographs, so they go along with COCO's.
    Task("animal", "vehicle", "person", sets=ALL),
    Task("vehicle", "animal", "water", sets=ALL),
    Task("indoors", "outdoors", "person", sets=ALL),
    Task("indoors", "outdoors", "sit", sets=ALL),
    Task("vehicle", "food", "person", sets=ALL),
    Task("vehicle", "seat", "person", sets=ALL),
    Task("grazer", "food", "person", sets=ALL),
    Task("animal", "indoors", "person", sets=ALL),
    Task("grazer", "dog", "grass", sets=ALL),
)
#: Each class: words that have to be there, words that must not. "man" is a man without a woman, child or dog.
CLASSES = {
    "dog": ("dog", ("person",)),
    "person": ("person", ("dog",)),
    "man": ("man", ("woman", "child", "dog")),
    "child": ("child", ("adult", "dog")),
    "animal": ("animal", ("vehicle", "indoors")),
    "grazer": ("grazer", ("food", "dog")),
    "vehicle": ("vehicle", ("animal", "food", "seat")),
    "food": ("food", ("vehicle", "grazer")),
    "seat": ("seat", ("vehicle",)),
    "indoors": ("indoors", ("outdoors", "animal")),
    "outdoors": ("outdoors", ("indoors",)),
}


def names(attribute: str) -> set[str]:
    """The words that name an attribute, when a finding says them."""
    return set(f"{WORDS[attribute]} {SYNONYMS.get(attribute, '')}".split())
