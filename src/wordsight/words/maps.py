"""Where in a picture a word comes from, and where a class does."""

import random
from collections.abc import Iterator, Sequence

from jaxtyping import Float
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import WordsightError
from wordsight.explain import Explainer
from wordsight.features.extraction import ImageLike, open_rgb
from wordsight.features.maps import HeatMap, locate
from wordsight.language.content import content_words
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.sampler import Sampled, sample
from wordsight.words.gradients import sentence_gradients, word_gradients

#: Sentences that a word's gradient is taken from; half of them say it, half do not, as far as there are as many.
_SENTENCES = 32


def word_maps(
    explainer: Explainer,
    picture: ImageLike,
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
    explainer: Explainer, picture: ImageLike, words: Sequence[str], *, sentences: int, sampling: Sampling, seed: int
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


def _features(classifier: Classifier, picture: ImageLike) -> Float[Tensor, "1 features"]:
    return classifier.features_of(classifier.prepare(open_rgb(picture))[None]).mean(1)


def _half_and_half(sentences: Sequence[str], word: str, draw: random.Random) -> list[str]:
    """Sentences with the word and others, evenly where both are many: both means in its gradient are then known as well."""
    sentences = [sentence for sentence in sentences if sentence]
    draw.shuffle(sentences)
    with_, without = ([s for s in sentences if (word in content_words(s)) == has] for has in (True, False))
    return with_[: _SENTENCES // 2] + without[: _SENTENCES // 2]
