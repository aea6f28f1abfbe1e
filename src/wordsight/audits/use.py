"""How much a class uses words: the gradients of words at images."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.audits.evidence import Evidence
from wordsight.audits.observations import Observations
from wordsight.audits.statistics import Estimate, mean_estimate
from wordsight.features.maps import logit_gradients
from wordsight.language.content import content_words
from wordsight.models import Models
from wordsight.words.gradients import cosines, sentence_gradients_stored, word_gradients

#: Images for each class, and sentences an image, that gradients are taken of.
GRADIENT_IMAGES, GRADIENT_SENTENCES = 64, 16


class Uses:
    """How much a class's logit uses words, class by class (``findings.UsedOf``).

    The gradients are taken at the ``GRADIENT_IMAGES`` images with the most information about the words, whatever class is
    predicted. An image's information about a word's gradient is the variance of the word in its sentences, r (1 - r) at rate r:
    none if all sentences have the word, or no sentence has it. The mean cosine is weighted by it, too.
    """

    def __init__(self, models: Models, observed: Observations, evidence: Evidence, *, seed: int) -> None:
        self._models, self._observed, self._evidence, self._seed = models, observed, evidence, seed

    def __call__(self, c: int, words: Sequence[int]) -> list[Estimate | None]:
        if not words:
            return []
        rates = self._evidence.rates[:, words].astype(float)
        information = rates * (1 - rates)
        rows = most_informative(information, GRADIENT_IMAGES)
        found = gradients_at(rows.tolist(), self._observed, self._models, seed=self._seed)
        classifier = self._models.classifier
        directions = logit_gradients(classifier.head, self._observed.z[rows.tolist()].to(classifier.device), c)
        seen = [cosines(direction, by_word) for direction, by_word in zip(directions, found, strict=True)]
        used: list[Estimate | None] = []
        for column, name in enumerate(self._evidence.vocabulary[word] for word in words):
            known = [i for i, by_word in enumerate(seen) if name in by_word and information[rows[i], column] > 0]
            values, weights = np.array([seen[i][name] for i in known]), information[rows[known], column]
            used.append(mean_estimate(values, weights, low=-1, high=1) if known else None)
        return used


def most_informative(information: Float[np.ndarray, "images words"], limit: int) -> Int[np.ndarray, " chosen"]:
    """At most ``limit`` images with the most information about words, in order; each word's information is scaled to sum 1."""
    shares = information / np.maximum(information.sum(0), 1e-12)
    return np.sort(np.argsort(-shares.sum(1), kind="stable")[:limit])


def draw_images(rows: Sequence[int], observed: Observations, *, seed: int, limit: int = GRADIENT_IMAGES) -> list[int]:
    """At most ``limit`` of these images, drawn by the seed, in order.

    Every image has its own random number, so overlapping sets of images give overlapping draws: stored gradients are used again.
    """
    return sorted(sorted(rows, key=lambda row: random.Random(f"image {seed} {observed.names[row]}").random())[:limit])


def gradients_at(
    rows: Sequence[int], observed: Observations, models: Models, *, seed: int
) -> list[dict[str, Float[Tensor, " features"]]]:
    """grad_z log rate(w) of the words of each of these images, from ``GRADIENT_SENTENCES`` of its sentences.

    An image's sentences are the same in every audit, so stored gradients are used again.
    """
    chosen = [
        _choose(observed.sampled[row].sentences, GRADIENT_SENTENCES, random.Random(f"{seed} {observed.names[row]}"))
        for row in rows
    ]
    gradients = sentence_gradients_stored(
        models.lm, models.translator, observed.z[list(rows)], chosen, observed.store / "gradients"
    )
    return [
        word_gradients(own, [content_words(sentence) for sentence in sentences])
        for own, sentences in zip(gradients, chosen, strict=True)
    ]


def _choose(sentences: Counter[str], limit: int, draw: random.Random) -> list[str]:
    """Some of the sampled sentences, each with its own chance."""
    drawn = sorted(sentence for sentence in sentences.elements() if sentence)
    return draw.sample(drawn, min(limit, len(drawn)))
