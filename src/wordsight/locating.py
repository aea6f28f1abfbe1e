"""Where in a picture a word comes from, and where a class does."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from wordsight.audit.used import sentence_gradients, word_gradients
from wordsight.errors import ModelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.classifier import Classifier
from wordsight.features.extraction import Picture, read_picture
from wordsight.features.spatial import middle_square, on_picture, view_boxes
from wordsight.sentences.nucleus import Sampling
from wordsight.sentences.sampler import Sampled, sample
from wordsight.words.content import content_words

#: Sentences that a word's gradient is taken from; half of them say it, half do not, as far as there are as many.
_SENTENCES = 32


@dataclass(frozen=True)
class HeatMap:
    """Where a word or a class comes from: ``values`` (rows, columns) over the whole picture, the largest 1, none below 0."""

    about: str
    values: Float[np.ndarray, "rows columns"]

    def share_inside(self, left: float, top: float, right: float, bottom: float) -> float:
        """The share of the map's mass in a rectangle, given in shares of width and height. 0 if the map is empty."""
        rows, columns = self.values.shape
        y, x = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
        inside = np.outer((y >= top) & (y < bottom), (x >= left) & (x < right))
        total = float(self.values.sum())
        return float(self.values[inside].sum()) / total if total > 0 else 0.0


def word_maps(
    explainer: Explainer,
    picture: Picture,
    words: Sequence[str],
    *,
    sentences: int = 200,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    seed: int = 0,
) -> list[HeatMap]:
    """Heat maps of words on one picture: the gradient of each word's rate at the last spatial feature map.

    Raises ImageError if the picture cannot be read, WordsightError if a word is in none or in all of the sampled sentences,
    and ModelError if the classifier has no feature map with places.
    """
    maps = []
    for found in word_maps_each(explainer, picture, words, sentences=sentences, sampling=sampling, seed=seed):
        if isinstance(found, WordsightError):
            raise found
        maps.append(found)
    return maps


def word_maps_each(
    explainer: Explainer, picture: Picture, words: Sequence[str], *, sentences: int, sampling: Sampling, seed: int
) -> Iterator[HeatMap | WordsightError]:
    """Like ``word_maps``, one word after the other: its map, or the error that keeps it from having one."""
    z = _features(explainer.classifier, picture)
    found = sample(explainer.lm, explainer.prefix(z), sentences=sentences, sampling=sampling, seeds=[seed])[0]
    for word in words:
        try:
            yield HeatMap(word, locate(explainer.classifier, picture, _direction(explainer, z, found, word, seed)))
        except WordsightError as error:
            yield error


def _direction(
    explainer: Explainer, z: Float[Tensor, "1 features"], found: Sampled, word: str, seed: int
) -> Float[Tensor, " features"]:
    """grad_z log rate(w) at one image."""
    chosen = _half_and_half(sorted(found.sentences.elements()), word, random.Random(seed))
    said = [content_words(sentence) for sentence in chosen]
    gradients = sentence_gradients(explainer.lm, explainer.translator, z.expand(len(chosen), -1), chosen)
    direction = word_gradients(gradients, said).get(word)
    if direction is None:
        often = ", ".join(sorted(found.rates.words, key=lambda w: -found.rates.words[w].rate)[:10])
        many = "all" if any(word in some for some in said) else "none"
        raise WordsightError(
            f"'{word}' is in {many} of {found.rates.sentences} sentences, wanted some with it and some without. Words said "
            f"often here: {often}."
        )
    return direction


def class_map(classifier: Classifier, picture: Picture, label: str) -> HeatMap:
    """Grad-CAM of a class on one picture (Selvaraju et al. 2017). Raises as ``word_maps`` does."""
    if classifier.head_weight is None:
        raise ModelError(f"'{classifier.name}' has no linear head, wanted one for the gradient of a class's logit.")
    if label not in classifier.labels:
        raise WordsightError(f"'{label}' is none of the {len(classifier.labels)} classes of '{classifier.name}'.")
    return HeatMap(label, locate(classifier, picture, classifier.head_weight[list(classifier.labels).index(label)]))


def locate(
    classifier: Classifier, picture: Picture, direction: Float[Tensor, " features"], *, square: bool = False, side: int = 28
) -> Float[np.ndarray, "rows columns"]:
    """Where a direction of the features comes from, over the whole picture (or its middle square), the largest value 1."""
    if classifier.locate is None:
        raise ModelError(f"'{classifier.name}' cannot be located in; build it with classifier_from_module.")
    image = read_picture(picture)
    views = classifier.prepare(image)
    maps = classifier.locate(views.to(classifier.device), direction.to(classifier.device).expand(len(views), -1))
    boxes = view_boxes(classifier.prepare, image.size)
    if square:
        boxes = [middle_square(box, image.size) for box in boxes]
    return on_picture(list(maps), boxes, side)


def _features(classifier: Classifier, picture: Picture) -> Float[Tensor, "1 features"]:
    return classifier.features_of(classifier.prepare(read_picture(picture))[None]).mean(1)


def _half_and_half(sentences: Sequence[str], word: str, draw: random.Random) -> list[str]:
    """Sentences with the word and others, evenly where both are many: both means in its gradient are then known as well."""
    sentences = [sentence for sentence in sentences if sentence]
    draw.shuffle(sentences)
    with_, without = ([s for s in sentences if (word in content_words(s)) == has] for has in (True, False))
    return with_[: _SENTENCES // 2] + without[: _SENTENCES // 2]
