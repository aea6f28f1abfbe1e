"""The gradients of words at images, from sampled sentences: for heat maps and directions."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial

from jaxtyping import Float
from torch import Tensor

from wordsight.audits.observations import Observations
from wordsight.language.content import content_words
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.words.gradients import sentence_gradients_stored, word_gradients

#: Images that gradients are taken of at most, and sentences of each.
GRADIENT_IMAGES, GRADIENT_SENTENCES = 64, 16


def draw_images(rows: Sequence[int], observed: Observations, *, seed: int, limit: int = GRADIENT_IMAGES) -> list[int]:
    """At most ``limit`` of these images, drawn by the seed, in order.

    Every image has its own random number, so overlapping sets of images give overlapping draws: stored gradients are used again.
    """
    return sorted(sorted(rows, key=lambda row: _drawn(f"image {seed} {observed.names[row]}").random())[:limit])


def gradients_at(
    rows: Sequence[int],
    observed: Observations,
    models: Models,
    *,
    seed: int,
    on_progress: OnProgress = no_progress,
) -> list[dict[str, Float[Tensor, " features"]]]:
    """grad_z log rate(w) of the words of each of these images, from ``GRADIENT_SENTENCES`` of its sentences.

    An image's sentences are the same in every audit, so stored gradients are used again.
    """
    chosen = [
        _choose(observed.sampled[row].sentences, GRADIENT_SENTENCES, _drawn(f"{seed} {observed.names[row]}")) for row in rows
    ]
    gradients = sentence_gradients_stored(
        models.lm,
        models.translator,
        observed.z[list(rows)],
        chosen,
        observed.store / "gradients",
        on_images=partial(on_progress, "gradients"),
    )
    return [
        word_gradients(own, [content_words(sentence) for sentence in sentences])
        for own, sentences in zip(gradients, chosen, strict=True)
    ]


def _choose(sentences: Counter[str], limit: int, draw: random.Random) -> list[str]:
    """Some of the sampled sentences, each with its own chance."""
    drawn = sorted(sentence for sentence in sentences.elements() if sentence)
    return draw.sample(drawn, min(limit, len(drawn)))


def _drawn(text: str) -> random.Random:
    """Chance that follows from a text, also from the name of a file that is not UTF-8."""
    return random.Random(text.encode(errors="surrogateescape"))
