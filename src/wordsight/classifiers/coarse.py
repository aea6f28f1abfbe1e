"""A classifier seen through coarser classes: several of its own make one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.imagenet import imagenet_classes
from wordsight.errors import LabelError

#: ImageNet-9's classes (Xiao et al. 2021, "Noise or Signal"), in its order.
NINE = ("dog", "bird", "wheeled vehicle", "reptile", "carnivore", "insect", "musical instrument", "primate", "fish")
#: What none of the coarse classes covers.
OTHER = "none of these"


def coarse(classifier: Classifier, of: Mapping[int, str], labels: tuple[str, ...]) -> Classifier:
    """The classifier with the classes ``labels``: class i counts as ``of[i]``, classes that it does not name as ``OTHER``.

    A coarse class's logit is the largest of its classes' logits, so the decision is that of the classifier itself. Its
    features, and so its translator, stay the same.
    """
    names = (*labels, OTHER)
    members = [[i for i in range(len(classifier.labels)) if of.get(i, OTHER) == name] for name in names]
    names = tuple(name for name, numbers in zip(names, members, strict=True) if numbers)
    rows = [torch.tensor(numbers, device=classifier.device) for numbers in members if numbers]
    fine = classifier.head

    def head(z: Tensor) -> Tensor:
        logits = fine(z)
        return torch.stack([logits[:, numbers].amax(1) for numbers in rows], dim=1)

    return replace(classifier, head=head, labels=names, head_weight=None)


def read_class_map(path: Path) -> dict[int, str]:
    """A JSON object from class numbers to the numbers of ImageNet-9's classes, -1 for none (``in_to_in9.json``).

    Raises LabelError if it is none.
    """
    try:
        found = {int(i): int(nine) for i, nine in json.loads(path.read_text(encoding="utf-8")).items()}
        return {i: NINE[nine] for i, nine in found.items() if nine >= 0}
    except (OSError, ValueError, AttributeError, TypeError, IndexError, RecursionError) as error:
        raise LabelError(
            f"{path} cannot be read as a class map ({type(error).__name__}: {error}). Wanted a JSON object from class numbers "
            "to 0 to 8, or -1."
        ) from error


def fitting(classifier: Classifier, labels: Sequence[str], class_map: Path | None = None) -> Classifier:
    """The classifier, or, for labels of ImageNet-9 and a classifier of ImageNet's 1,000 classes, its view through those nine.

    ``class_map`` is the release's ``in_to_in9.json``; without it classes are mapped by WordNet (386 of them, where the release
    has 370).
    """
    if len(classifier.labels) != len(imagenet_classes()) or not set(labels) <= set(NINE):
        return classifier
    by_wordnet = {i: entry.nine for i, entry in enumerate(imagenet_classes()) if entry.nine}
    return coarse(classifier, read_class_map(class_map) if class_map is not None else by_wordnet, NINE)
