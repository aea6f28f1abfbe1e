"""The gradients of a word's rate at images, and their mean direction."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.audits.observations import Observations
from wordsight.audits.use import gradients_at
from wordsight.errors import WordsightError
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.words.gradients import head_gradients


def gradients_of(
    models: Models,
    observed: Observations,
    word: str,
    rows: Sequence[int],
    *,
    seed: int,
    on_progress: OnProgress = no_progress,
) -> list[Float[Tensor, " features"] | None]:
    """grad_z log rate(word) at these images (by number): of the word head, or of the sampled sentences.

    The head's unless the word rates are the sentences' (``observed.source``) or it lacks the word. None for an image whose
    sentences all have the word, or none of which has it. ``seed``: which sentences are drawn.
    """
    if observed.source != "sentences":
        made = head_gradients(models.translator, observed.z[list(rows)], word)
        if made is not None:
            return list(made)
    return [by_word.get(word) for by_word in gradients_at(rows, observed, models, seed=seed, on_progress=on_progress)]


def mean_direction(word: str, gradients: Sequence[Float[Tensor, " features"] | None]) -> Float[Tensor, " features"]:
    """The mean of the word's gradients, each scaled to length 1. ``gradients``: one an image, None where it has none.

    Raises WordsightError if no image has a gradient of the word.
    """
    directions = [g / g.norm() for g in gradients if g is not None and g.norm() > 0]
    if not directions:
        raise WordsightError(
            f"No image has sentences with and without '{word}', so its direction is unknown. Give more --sentences, or use "
            "--method reweight."
        )
    return torch.stack(directions).mean(0)
