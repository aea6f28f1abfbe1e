"""Breadth without images: captions for the 1,000 ImageNet classes, and what a class adds to the features of a photograph."""

import itertools
import re
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.classifiers.imagenet import ClassName
from wordsight.errors import FeatureError
from wordsight.tensors import Views

#: Captions of other lengths are passed over when one is sought for a class: they say little, or much besides.
_WORDS = range(4, 13)


class ClassCaptions:
    """Captions for classes, made from people's captions of things of the same kind.

    "A dog runs on the grass" becomes "An Irish setter runs on the grass"; the original describes an Irish setter, too.
    """

    def __init__(self, captions: Iterable[str]) -> None:
        self.of_noun: dict[str, list[str]] = {}
        for caption in captions:
            words = caption.lower().split()
            if len(words) in _WORDS:
                for article, noun in itertools.pairwise(words):
                    if article in ("a", "an"):
                        self.of_noun.setdefault(noun.strip(".,"), []).append(caption)

    def draw(self, of: ClassName, generator: torch.Generator) -> list[str]:
        """The caption that names the class, and the same one as it was written; without one, that the class is there."""
        nouns = [noun for noun in dict.fromkeys((of.name.split()[-1].lower(), of.kind)) if self.of_noun.get(noun)]
        if not nouns:
            named = with_article(of.name)
            return [f"{named[0].upper()}{named[1:]}.", f"There is {named}."]
        noun = nouns[_draw(len(nouns), generator)]
        original = self.of_noun[noun][_draw(len(self.of_noun[noun]), generator)]
        named = re.sub(rf"\ban? {re.escape(noun)}\b", with_article(of.name), original, count=1, flags=re.IGNORECASE)
        return [named[0].upper() + named[1:], original]


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun, by its first letter."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


#: How far a class is added to a photograph, as multiples of how far photographs lie along the direction of the class that
#: they are called. With these, features of 1,000 classes are like those of ImageNet photographs in length, in the share of
#: zeros, and in the probability that the starter gives their class (quartiles 0.4, 0.8, 0.95; photographs 0.5, 0.8, 0.94).
REACH = (1.5, 2.5)


def toward_classes(
    weight: Float[Tensor, "classes features"],
    views: Views,
    predicted: Int[Tensor, " images"],
    *,
    reach: tuple[float, float] = REACH,
    generator: torch.Generator,
) -> Float[Tensor, "classes features"]:
    """What each class adds to features, without an image of it.

    The direction of the class's weights in the head, ``reach`` times (uniform between the two) as long as a photograph, drawn
    at random, lies along that of its own ``predicted`` class from the mean (among those that lie on its side of the mean). No
    label is used.
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
    return far[:, None] * direction
