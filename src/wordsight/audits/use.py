"""How much a class uses words, and the gradients of words at images."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.audits.findings import Evidence
from wordsight.audits.observations import Observations
from wordsight.audits.statistics import Estimate, mean_estimate
from wordsight.explain import Explainer
from wordsight.language.content import content_words
from wordsight.words.gradients import cosines, logit_gradients, sentence_gradients_stored, word_gradients

#: Images for each class, and sentences an image, that gradients are taken of.
GRADIENT_IMAGES, GRADIENT_SENTENCES = 64, 16


class Uses:
    """How much a class's logit uses words, asked class by class (``findings.UsedOf``).

    The gradients are taken at the ``GRADIENT_IMAGES`` images that tell most about the words, whatever they are predicted. What an
    image tells of a word's gradient goes by the word's variance in its sentences, r (1 - r) at rate r: of a word that all
    sentences have, or none, nothing. Images weigh so much in the mean, too.
    """

    def __init__(self, explainer: Explainer, observed: Observations, evidence: Evidence, *, seed: int) -> None:
        self._explainer, self._said, self._evidence, self._seed = explainer, observed, evidence, seed

    def __call__(self, c: int, words: Sequence[int]) -> list[Estimate | None]:
        if not words:
            return []
        rates = self._evidence.rates[:, words].astype(float)
        tells = rates * (1 - rates)
        most = most_telling(tells, GRADIENT_IMAGES)
        found = gradients_at(most.tolist(), self._said, self._explainer, seed=self._seed)
        classifier = self._explainer.classifier
        directions = logit_gradients(classifier.head, self._said.z[most.tolist()].to(classifier.device), c)
        seen = [cosines(direction, by_word) for direction, by_word in zip(directions, found, strict=True)]
        used: list[Estimate | None] = []
        for column, name in enumerate(self._evidence.vocabulary[word] for word in words):
            known = [i for i, one in enumerate(seen) if name in one and tells[most[i], column] > 0]
            values, weights = np.array([seen[i][name] for i in known]), tells[most[known], column]
            used.append(mean_estimate(values, weights, low=-1, high=1) if known else None)
        return used


def most_telling(tells: Float[np.ndarray, "images words"], most: int) -> Int[np.ndarray, " chosen"]:
    """The images that tell most, in order: at most ``most``, by their shares of what all tell of each word, added up."""
    shares = tells / np.maximum(tells.sum(0), 1e-12)
    return np.sort(np.argsort(-shares.sum(1), kind="stable")[:most])


def some_of(rows: Sequence[int], observed: Observations, *, seed: int, most: int = GRADIENT_IMAGES) -> list[int]:
    """At most ``most`` of these images, drawn by the seed, in order.

    Every image has a number of its own, so that of overlapping images the same ones are drawn: stored gradients serve again.
    """
    return sorted(sorted(rows, key=lambda row: random.Random(f"image {seed} {observed.names[row]}").random())[:most])


def gradients_at(
    rows: Sequence[int], observed: Observations, explainer: Explainer, *, seed: int
) -> list[dict[str, Float[Tensor, " features"]]]:
    """grad_z log rate(w) of the words said about each of these images, by ``GRADIENT_SENTENCES`` of its sentences.

    They are the same sentences of an image in every audit, so that stored gradients serve again.
    """
    chosen = [
        _choose(observed.sampled[row].sentences, GRADIENT_SENTENCES, random.Random(f"{seed} {observed.names[row]}"))
        for row in rows
    ]
    gradients = sentence_gradients_stored(
        explainer.lm, explainer.translator, observed.z[list(rows)], chosen, observed.store / "gradients"
    )
    return [
        word_gradients(own, [content_words(sentence) for sentence in some]) for own, some in zip(gradients, chosen, strict=True)
    ]


def _choose(sentences: Counter[str], most: int, draw: random.Random) -> list[str]:
    """Some of the sampled sentences, each with its own chance."""
    everyone = sorted(sentence for sentence in sentences.elements() if sentence)
    return draw.sample(everyone, min(most, len(everyone)))
