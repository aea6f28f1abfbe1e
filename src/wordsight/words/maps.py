"""Where in an image a word comes from: the gradient of its rate at the last spatial feature map."""

import random
from collections import Counter
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from wordsight.errors import WordsightError
from wordsight.features.maps import HeatMap, locate
from wordsight.images.sources import ImageLike
from wordsight.language.content import content_words
from wordsight.models import Models
from wordsight.sentences.sampler import Sampled
from wordsight.words.gradients import sentence_gradients, word_gradients

#: Sentences that a word's gradient is taken from: half of them with the word and half without, as far as there are as many.
_SENTENCES = 32


def word_map(
    models: Models, image: ImageLike, z: Float[Tensor, "1 features"], sampled: Sampled, word: str, *, seed: int = 0
) -> HeatMap:
    """The heat map of a word on one image, from sentences that were sampled for its features ``z``.

    Raises ImageError if the image cannot be read, WordsightError if the word is in none or in all of the sentences, and
    ModelError if the classifier has no spatial feature map.
    """
    values = locate(models.classifier, image, _direction(models, z, sampled, word, seed))
    return HeatMap(word, values, image)


def _direction(
    models: Models, z: Float[Tensor, "1 features"], sampled: Sampled, word: str, seed: int
) -> Float[Tensor, " features"]:
    """grad_z log rate(w) at one image."""
    sentences = _half_and_half(sampled.sentences, word, random.Random(seed))
    words = [content_words(sentence) for sentence in sentences]
    gradients = sentence_gradients(models.lm, models.translator, z.expand(len(sentences), -1), sentences)
    direction = word_gradients(gradients, words).get(word)
    if direction is None:
        raise WordsightError(_no_direction(sampled, word, everywhere=any(word in found for found in words)))
    return direction


def _no_direction(sampled: Sampled, word: str, *, everywhere: bool) -> str:
    rates = sampled.rates
    if everywhere:
        reason = f"'{word}' is in all of {rates.sentences} sentences, wanted some with it and some without."
    elif word in rates.words:
        rate = rates.words[word].rate
        reason = (
            f"'{word}' is expected in {rate:.1%} of the sentences, but none of the {rates.sentences} that were sampled has it. "
            "Sample more sentences."
        )
    else:
        reason = f"'{word}' is in none of {rates.sentences} sentences, wanted some with it and some without."
    in_sentences = sorted((w for w, r in rates.words.items() if r.count), key=lambda w: -rates.words[w].rate)
    return f"{reason} Frequent words here: {', '.join(in_sentences[:10])}."


def _half_and_half(sentences: Counter[str], word: str, draw: random.Random) -> Sequence[str]:
    """Sentences with the word and others, evenly where both are many: both means in its gradient are then known as well."""
    shuffled = [sentence for sentence in sorted(sentences.elements()) if sentence]
    draw.shuffle(shuffled)
    with_, without = ([s for s in shuffled if (word in content_words(s)) == has] for has in (True, False))
    return with_[: _SENTENCES // 2] + without[: _SENTENCES // 2]
