"""The 1,000 ImageNet classes: names, synsets, nouns, kinds."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch

from wordsight.errors import LabelError


@dataclass(frozen=True)
class ClassName:
    """An ImageNet class: its name, the nouns a person may call it, the nearest everyday kind, ImageNet-9's class ("": none)."""

    synset: str
    name: str
    nouns: tuple[str, ...]
    kind: str
    nine: str


@cache
def imagenet_classes() -> tuple[ClassName, ...]:
    """The 1,000 ImageNet classes in the usual order, names and kinds from WordNet 3.0."""
    text = files("wordsight.classifiers").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return tuple(
        ClassName(row["synset"], row["name"], tuple(row["nouns"].split("|")), row["kind"], row["nine"])
        for row in csv.DictReader(text.splitlines())
    )


def imagenet_labels() -> list[str]:
    """The 1,000 ImageNet class names, first lemma each; with the synset where two classes have the same (crane, maillot)."""
    times = Counter(entry.name for entry in imagenet_classes())
    return [f"{entry.name} ({entry.synset})" if times[entry.name] > 1 else entry.name for entry in imagenet_classes()]


def unknown_labels(labels: Iterable[str], known: Sequence[str]) -> list[str]:
    """The labels that are none of the classifier's classes, sorted, each once."""
    return sorted(set(labels) - _numbers(known).keys())


def label_numbers(labels: Sequence[str], known: Sequence[str]) -> torch.Tensor:
    """The classifier's class number of each label, by its name or, for ImageNet's 1,000 classes, its synset.

    Raises LabelError for labels that the classifier does not have.
    """
    number = _numbers(known)
    if missing := unknown_labels(labels, known):
        shown = ", ".join(repr(name) for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise LabelError(
            f"{len(missing)} of {len(set(labels))} labels are none of the classifier's {len(known)} classes: {shown}. Name the "
            "classes as the classifier does, or train a head for them with 'wordsight head'."
        )
    return torch.tensor([number[name] for name in labels], dtype=torch.long)


def _numbers(known: Sequence[str]) -> dict[str, int]:
    number = {name: i for i, name in enumerate(known)}
    if len(known) == len(imagenet_classes()):
        number |= {entry.synset: i for i, entry in enumerate(imagenet_classes())}
        number |= {entry.name: i for i, entry in enumerate(imagenet_classes()) if entry.name not in number}
    return number
