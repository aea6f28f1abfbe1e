"""Breadth without images: captions for the 1,000 ImageNet classes, and features of photographs to which a class was added."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.classifiers.imagenet import ClassName
from wordsight.errors import FeatureError
from wordsight.tensors import Views


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


#: How far a class is added to a photograph, as multiples of how far photographs lie along the direction of the class that
#: they are called. With these, features of 1,000 classes are like those of ImageNet photographs in length, in the share of
#: zeros, and in the probability that the starter gives their class (quartiles 0.4, 0.8, 0.95; photographs 0.5, 0.8, 0.94).
REACH = (1.5, 2.5)


def add_classes(
    weight: Float[Tensor, "classes features"],
    views: Views,
    predicted: Int[Tensor, " images"],
    rows: Int[Tensor, " classes"],
    *,
    reach: tuple[float, float] = REACH,
    generator: torch.Generator,
) -> Float[Tensor, "classes views features"]:
    """Features of photographs to which something of each class was added, without an image of it.

    Class c is added to the photograph ``rows[c]``: the direction of the class's weights in the head, ``reach`` times (uniform
    between the two) as long as a photograph, drawn at random, lies along that of its own ``predicted`` class from the mean
    (among those that lie on its side of the mean).
    What the photograph shows stays in the features. No label is used. Negative values are cut off if ``views`` has none
    (features after a ReLU).
    """
    direction = weight / weight.norm(dim=1, keepdim=True).clamp(min=1e-6)
    photographs = views.mean(1)
    length = ((photographs - photographs.mean(0)) * direction[predicted]).sum(1)
    length = length[length > 0]
    if len(length) == 0:
        raise FeatureError(
            f"None of the {len(views)} images lies farther along the direction of the class that it is called than their mean "
            "does, so classes cannot be added to them. Leave --class-draws at 0, or check that the head reads these features."
        )
    drawn = torch.randint(len(length), (len(weight),), generator=generator)
    shortest, longest = reach
    far = (shortest + (longest - shortest) * torch.rand(len(weight), generator=generator)) * length[drawn]
    made = views[rows] + (far[:, None] * direction)[:, None]
    return made.clamp(min=0) if bool((views >= 0).all()) else made
