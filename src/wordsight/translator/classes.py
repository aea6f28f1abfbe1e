"""Breadth without pictures: captions for the 1,000 ImageNet classes, and features made from a classifier head's own rows."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.tensors import Features


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
    text = files("wordsight.translator").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return tuple(
        ClassName(row["synset"], row["name"], tuple(row["nouns"].split("|")), row["kind"], row["nine"])
        for row in csv.DictReader(text.splitlines())
    )


def class_captions(of: ClassName) -> list[str]:
    """Short captions that name a class, and its kind where it has one."""
    named = with_article(of.name)
    if not of.kind or of.kind in of.name.lower().split():
        return [f"{named}.", f"There is {named.lower() if of.name.islower() else named[0].lower() + named[1:]}."]
    kind = with_article(of.kind)
    lower = named[0].lower() + named[1:]
    return [f"{named}.", f"{kind}, {lower}.", f"{named}, a kind of {of.kind}."]


def with_article(noun: str) -> str:
    """Put "A" or "An" before a noun, by its first letter."""
    return f"{'An' if noun[0].lower() in 'aeiou' else 'A'} {noun}"


def head_row_features(
    weight: Float[Tensor, "classes features"],
    photographs: Features,
    predicted: Tensor,
    *,
    draws: int,
    residual: float = 0.6,
    reach: float = 1.4,
    generator: torch.Generator,
) -> Float[Tensor, "classes draws features"]:
    """Features that a head would call class c, for every class, without a picture of it: (classes, draws, features).

    The direction of the class's weights, ``reach`` times as long as photographs are along their own predicted class's
    direction (the noise dilutes the class), on top of the mean feature. The noise is a share (``residual``) of real
    photographs' deviations from the mean. No label is used.
    Negative values are cut off if ``photographs`` has none (features after a ReLU).
    """
    direction = weight / weight.norm(dim=1, keepdim=True)
    mean = photographs.mean(0)
    deviation = photographs - mean
    length = (deviation * direction[predicted]).sum(1)
    count = len(weight) * draws
    rows = torch.randint(len(photographs), (2, count), generator=generator)
    made = mean + residual * deviation[rows[0]] + reach * length[rows[1], None] * direction.repeat_interleave(draws, 0)
    if bool((photographs >= 0).all()):
        made = made.clamp(min=0)
    return made.unflatten(0, (len(weight), draws))
