"""Features for captions without images, composed from those of captioned images."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.imagenet import imagenet_classes
from wordsight.errors import ModelError
from wordsight.tensors import Views
from wordsight.translator.classes import ClassCaptions, toward_classes
from wordsight.translator.word_head import rates_of, word_rates

#: A word's part in the features is estimated from at least so many captioned images.
_MIN_IMAGES = 3
#: How many of the most similar images may lend what the words do not say.
_NEAREST = 5


class Composer:
    """Composes features: what the words of a caption add, and the rest of an image that has similar words.

    A ridge regression of the features on the word rates of captioned images, all words together, says what each word adds while
    the others stay. What it leaves of an image's features is that image's rest.
    """

    def __init__(
        self, views: Views, captions: Sequence[Sequence[str]], *, ridge: float = 10.0, device: torch.device | str = "cpu"
    ) -> None:
        self.vocabulary, rates = word_rates(captions, min_images=_MIN_IMAGES)
        self.views, self.rates, features = views, rates.to(device), views.mean(1).to(device)
        self.mean, self.usual = features.mean(0), self.rates.mean(0)
        a = self.rates - self.usual
        gram = a.T @ a + ridge * torch.eye(a.shape[1], device=device)
        self.effect: Float[Tensor, "words features"] = torch.linalg.solve(gram, a.T @ (features - self.mean))
        self.fitted = (self.mean + a @ self.effect).cpu()
        self.rarity = (len(views) / ((self.rates > 0).sum(0) + 1)).log().clamp(min=0)
        self.positive = bool((views >= 0).all())

    def similar(self, captions: Sequence[Sequence[str]], generator: torch.Generator) -> Int[Tensor, " rows"]:
        """For each row of captions one of the five images whose words agree best with theirs (cosine, rare words weighed up)."""
        images = torch.nn.functional.normalize(self.rates.sqrt() * self.rarity)
        found = []
        for part in rates_of(captions, self.vocabulary).split(1024):
            rows = torch.nn.functional.normalize(part.to(images.device).sqrt() * self.rarity)
            found.append((rows @ images.T).topk(min(_NEAREST, len(images)), 1).indices.cpu())
        nearest = torch.cat(found)
        return nearest.gather(1, torch.randint(nearest.shape[1], (len(nearest), 1), generator=generator))[:, 0]

    def compose(
        self,
        captions: Sequence[Sequence[str]],
        images: Int[Tensor, " rows"],
        added: Float[Tensor, "rows features"] | None = None,
    ) -> Views:
        """Features of rows of captions, each with the rest of one image's views (rows, views, features).

        ``added`` is added to all views of a row. Negative values are cut off if no image has any (features after a ReLU).
        """
        linear = [self.mean + (part.to(self.mean.device) - self.usual) @ self.effect
                  for part in rates_of(captions, self.vocabulary).split(4096)]  # fmt: skip
        shift = torch.cat(linear).cpu() - self.fitted[images] + (0 if added is None else added)
        made = self.views[images] + shift[:, None]
        return made.clamp_(min=0) if self.positive else made


def imagenet_head(classifier: Classifier) -> Float[Tensor, "classes features"]:
    """The weights of a classifier's head of the 1,000 ImageNet classes. Raises ModelError if it has none."""
    weight = classifier.head_weight
    if weight is None or len(weight) != len(imagenet_classes()):
        raise ModelError(
            f"'{classifier.name}' has no linear head of 1000 ImageNet classes; classes can only be added to photographs "
            "along its rows. Leave --class-draws at 0."
        )
    return weight


def with_composed(
    views: Views,
    captions: Sequence[Sequence[str]],
    text: Sequence[Sequence[str]],
    *,
    classifier: Classifier,
    draws: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> tuple[Float[Tensor, "rows views features"], list[Sequence[str]]]:
    """Captioned images, then captions without images, then ``draws`` times each ImageNet class: features and captions.

    A class has the features of a caption that fits it, and of what the class adds by its weights in the head: what the
    classifier knows is then spoken of in whole sentences, whether an image shows it or not.
    """
    if not text and not draws:
        return views, list(captions)
    composer = Composer(views, captions, device=device)
    made, told = [views], list(captions)
    if text:
        made.append(composer.compose(text, composer.similar(text, generator)))
        told += text
    if draws:
        weight, predicted = imagenet_head(classifier), classifier.probabilities(views.mean(1)).argmax(1)
        sentences = ClassCaptions(caption for image in told for caption in image)
        for _ in range(draws):
            drawn = [sentences.draw(of, generator) for of in imagenet_classes()]
            photographs = torch.randint(len(views), (len(weight),), generator=generator)
            added = toward_classes(weight, views, predicted, generator=generator)
            made.append(composer.compose([pair[:1] for pair in drawn], photographs, added))
            told += drawn
    return torch.cat(made), told
