"""The words that name a class: its name, synonyms, kinds, and what it is a kind of (WordNet 3.0, nouns)."""

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Set
from functools import cache
from importlib.resources import files

import simplemma

from wordsight.classifiers.imagenet import ClassName, imagenet_classes
from wordsight.language.content import content_words, plain


def class_itself(label: str) -> frozenset[str]:
    """Content words that name a class, its kinds or what it is a kind of: "puppy" and "animal" for "dog".

    The label is looked up as a whole and by its last word, in the word's first sense. A label that WordNet has not ("class 3",
    "landbird") gives its own words, and those of its longest ending that WordNet has ("bird"). Names and synsets of ImageNet
    classes have their own sense: "church" is a building there, not an institution. Empty for a label without letters.
    """
    synset = re.search(r"\bn\d{8}\b", label)
    imagenet = _imagenet().get(synset.group() if synset else plain(label))
    if imagenet is not None:
        label = imagenet.name
    name = re.sub(r"[\W\d_]+", "_", plain(label)).strip("_")
    if not name:
        return frozenset()
    own = set(content_words(name.replace("_", " "))) | set(imagenet.nouns if imagenet else ())
    sense = next((nouns().first[form] for form in _forms(name) if form in nouns().first), None)
    if sense is not None:
        own |= set(nouns().synonyms[sense]) | _below(sense) | _above(sense)
    return frozenset(own)


def is_own(word: str, own: Set[str]) -> bool:
    """Whether a content word is one of a class's own, in the singular or plural."""
    return word in own or simplemma.lemmatize(word, lang="en").lower() in own


def _forms(name: str) -> list[str]:
    """The forms to look up, the best first: the whole name, its last words, the endings of its last word."""
    parts = name.split("_")
    last = parts[-1]
    forms = ["_".join(parts[i:]) for i in range(len(parts))]
    forms += [simplemma.lemmatize(last, lang="en").lower()]
    forms += [last[i:] for i in range(1, len(last) - 2)]
    return forms


@cache
def _imagenet() -> dict[str, ClassName]:
    times = Counter(entry.name for entry in imagenet_classes())
    named = {plain(entry.name): entry for entry in imagenet_classes() if times[entry.name] == 1}
    return named | {entry.synset: entry for entry in imagenet_classes()}


class _Nouns:
    """WordNet's nouns by synset (the line of the table), and the synset that is each lemma's first sense."""

    def __init__(self) -> None:
        packed = files("wordsight.audits").joinpath("nouns.tsv.gz").read_bytes()
        self.synonyms: list[list[str]] = []
        self.words: list[list[str]] = []  # of these, the ones that mean this before anything else
        self.parents: list[list[int]] = []
        self.children: dict[int, list[int]] = defaultdict(list)
        self.first: dict[str, int] = {}
        for synset, line in enumerate(gzip.decompress(packed).decode().splitlines()):
            first, others, parents = (field.split("|") if field else [] for field in line.split("\t"))
            self.words.append([word for word in first if "_" not in word])
            self.synonyms.append(self.words[-1] + others)
            self.parents.append([int(parent) for parent in parents])
            self.first |= dict.fromkeys(first, synset)
            for parent in self.parents[-1]:
                self.children[parent].append(synset)


@cache
def nouns() -> _Nouns:
    """WordNet's nouns, read once (about half a second)."""
    return _Nouns()


def _below(synset: int) -> set[str]:
    words: set[str] = set()
    waiting = [synset]
    while waiting:
        here = waiting.pop()
        words |= set(nouns().words[here])
        waiting += nouns().children[here]
    return words


def _above(synset: int) -> set[str]:
    words: set[str] = set()
    waiting = list(nouns().parents[synset])
    while waiting:
        here = waiting.pop()
        words |= set(nouns().words[here])
        waiting += nouns().parents[here]
    return words
