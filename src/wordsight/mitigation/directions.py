"""The direction of a word in the features."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.audits.observations import Observations
from wordsight.audits.use import draw_images, gradients_at
from wordsight.errors import WordsightError
from wordsight.models import Models


def word_direction(
    models: Models, observed: Observations, word: str, rows: Sequence[int], *, seed: int
) -> Float[Tensor, " features"]:
    """The mean direction of the word's gradient at some of these images (by number), which have the word.

    ``seed``: which images are drawn. Raises WordsightError if no image has sentences with and without the word.
    """
    return mean_direction(word, gradients_at(draw_images(rows, observed, seed=seed), observed, models, seed=seed))


def mean_direction(word: str, gradients: Sequence[dict[str, Float[Tensor, " features"]]]) -> Float[Tensor, " features"]:
    """The mean of the word's gradients, each scaled to length 1. ``gradients``: of each image, by word.

    Raises WordsightError if no image has a gradient of the word.
    """
    directions = [g / g.norm() for by_word in gradients if (g := by_word.get(word)) is not None and g.norm() > 0]
    if not directions:
        raise WordsightError(
            f"No image has sentences with and without '{word}', so its direction is unknown. Give more --sentences, or use "
            "--method reweight."
        )
    return torch.stack(directions).mean(0)
