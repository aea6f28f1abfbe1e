"""Sentence -> content words."""

import hashlib
import re
import unicodedata
from functools import cache, lru_cache
from importlib.metadata import version

import simplemma

from wordsight.language import forms

#: Words that say how a caption is made, not what is in the image.
BOILERPLATE = frozenset(
    """photo photograph photography image image background foreground view scene shot closeup close-up caption camera
    front side bottom middle center centre left right part kind type sort""".split()
)

#: English words without content, on top of everything shorter than three letters.
STOP_WORDS = frozenset(
    """about above across after again against all along also although among and another any anyone anything are aren around
    back became because become been before behind being below beneath beside besides between beyond both but can cannot
    could couldn did didn does doesn doing don done down during each eight either else enough etc even ever every everyone
    everything few first for from get give go had hadn has hasn have haven having he hence her
    here hers herself him himself his how however indeed into isn its itself keep last least less let made many may
    maybe might mine more moreover most mostly move much must mustn myself name namely neither never next nobody none
    nor not nothing now nowhere off often once one only onto other others otherwise our ours ourselves out over own part
    per perhaps please put rather same say see seem seemed seeming seems serious several shall she should shouldn show since
    some somehow someone something sometimes somewhere still such take than that the their theirs them
    themselves then there therefore these they third this those though through throughout thus together too toward
    towards under until upon use used very was wasn were weren what whatever when where wherever whether
    which while who whoever whole whom whose why will with within without won would wouldn yet you your yours
    yourself""".split()
)

#: Regular participles say what is seen, too, and are no verbs or nouns ("dressed" is not "a dress").
_ENDINGS = ("ing", "ed")

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def content_words(sentence: str) -> frozenset[str]:
    """The content words of an English sentence, each once.

    Lower-cased and lemmatised with simplemma's dictionary; words in ``-ing`` and ``-ed`` stay as they are, because "a running
    dog" and "a striped shirt" say with them what is seen, which "run" and "stripe" do not. ``forms`` has the exceptions, and
    names of two words that are one: "polar bear". Words under three letters, ``STOP_WORDS`` and ``BOILERPLATE`` are dropped.
    """
    text, words, end, joined = plain(sentence), [""], 0, True
    for match in _WORD.finditer(text):
        word = lemma(match.group())
        adjacent = not joined and match.start() == end + 1 and text[end] == " "
        both = pair(words[-1], word) if adjacent else None
        joined, end = both is not None, match.end()
        if both is None:
            words.append(word)
        else:
            words[-1] = both
    return frozenset(w for w in words if len(w) > 2 and w not in STOP_WORDS and w not in BOILERPLATE)


def pair(first: str, second: str) -> str | None:
    """What two lemmas in a row are together: a name ("polar bear"), "" for a place ("top of"), None if they stay two."""
    if (first, second) in forms.NAMES:
        return f"{first} {second}"
    return "" if (first, second) in forms.PLACES else None


#: Lemmas that a pair can begin with.
FIRST = frozenset(first for first, _ in forms.NAMES | forms.PLACES)


def plain(text: str) -> str:
    """Lower case without accents: "Café" is "cafe"."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


@lru_cache(maxsize=100_000)
def lemma(word: str) -> str:
    """The dictionary form of one lower-case word; stop words, participles and the exceptions in ``forms`` unchanged."""
    if word in STOP_WORDS or word in _UNCHANGED or word.endswith(_ENDINGS):
        return word
    return forms.NOUNS.get(word) or simplemma.lemmatize(word, lang="en").lower()


_UNCHANGED = forms.KEPT | forms.PLURALS | forms.PARTICIPLES


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
        sorted(forms.NOUNS.items()),
        sorted(_UNCHANGED),
        sorted(forms.NAMES | forms.PLACES),
        _ENDINGS,
        version("simplemma"),
    )
    return hashlib.sha256(repr(rules).encode()).hexdigest()
