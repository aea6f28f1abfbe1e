"""Sentence -> content words."""

import hashlib
import re
import unicodedata
from functools import cache, lru_cache
from importlib.metadata import version

import simplemma

#: Words that say how a caption is made, not what is in the image.
BOILERPLATE = frozenset(
    """photo photograph photography image image background foreground view scene shot closeup close-up caption camera
    front side top bottom middle center centre left right part kind type sort""".split()
)

#: English words without content, on top of everything shorter than three letters.
STOP_WORDS = frozenset(
    """about above across after again against all along also although among and another any anyone anything are aren around
    back became because become been before behind being below beneath beside besides between beyond both but can cannot
    could couldn did didn does doesn doing don done down during each eight either else enough etc even ever every everyone
    everything few fifteen fifty first five for forty four from get give go had hadn has hasn have haven having he hence her
    here hers herself him himself his how however hundred indeed into isn its itself keep last least less let made many may
    maybe might mine more moreover most mostly move much must mustn myself name namely neither never next nine nobody none
    nor not nothing now nowhere off often once one only onto other others otherwise our ours ourselves out over own part
    per perhaps please put rather same say see seem seemed seeming seems serious several shall she should shouldn show since
    six sixty some somehow someone something sometimes somewhere still such take ten than that the their theirs them
    themselves then there therefore these they third this those though three through throughout thus together too toward
    towards twelve twenty two under until upon use used very was wasn were weren what whatever when where wherever whether
    which while who whoever whole whom whose why will with within without won would wouldn yet you your yours
    yourself""".split()
)

#: Plurals that the dictionary takes for verbs; captions mean the things.
_NOUNS_FIRST = {"leaves": "leaf", "glasses": "glasses", "sunglasses": "sunglasses", "shades": "shade"}

#: Plurals that captions choose with care: a group of men is another thing to see than one man.
_PLURALS_KEPT = frozenset({"men", "women", "children"})

#: Participles say what is seen ("a running dog", "a striped shirt") and are no verbs or nouns ("dressed" is not "a dress").
_PARTICIPLES = ("ing", "ed")

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def content_words(sentence: str) -> frozenset[str]:
    """The content words of an English sentence, each once.

    Lower-cased and lemmatised with simplemma's dictionary; words in ``-ing`` and ``-ed`` stay as they are, because "a running
    dog" and "a striped shirt" say with them what is seen, which "run" and "stripe" do not, and so do "men", "women" and
    "children". Words under three letters, ``STOP_WORDS`` and ``BOILERPLATE`` are dropped.
    """
    found = (lemma(word) for word in _WORD.findall(plain(sentence)))
    return frozenset(w for w in found if len(w) > 2 and w not in STOP_WORDS and w not in BOILERPLATE)


def plain(text: str) -> str:
    """Lower case without accents: "Café" is "cafe"."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


@lru_cache(maxsize=100_000)
def lemma(word: str) -> str:
    """The dictionary form of one lower-case word; stop words and participles unchanged."""
    if word in STOP_WORDS or word in _PLURALS_KEPT or word.endswith(_PARTICIPLES):
        return word
    if word in _NOUNS_FIRST:
        return _NOUNS_FIRST[word]
    return simplemma.lemmatize(word, lang="en").lower()


@lru_cache(maxsize=100_000)
def is_english(word: str) -> bool:
    """Whether the dictionary has this lower-case word."""
    return simplemma.is_known(word, lang="en")


@cache
def rules_fingerprint() -> str:
    """What decides which words a sentence has: the lists above and the dictionary's version. Stored counts are keyed by it."""
    rules = (
        sorted(BOILERPLATE),
        sorted(STOP_WORDS),
        sorted(_NOUNS_FIRST.items()),
        sorted(_PLURALS_KEPT),
        _PARTICIPLES,
        version("simplemma"),
    )
    return hashlib.sha256(repr(rules).encode()).hexdigest()
