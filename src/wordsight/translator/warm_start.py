"""Warm start: teach the translator's trunk which words an image's captions use, before any language model is involved.

A multi-label word probe on the same features trains in seconds and generalises better from few images than the caption loss
does; the trunk starts as that probe's hidden layer, the probe's output layer is thrown away.
"""

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wordsight.language.content import content_words
from wordsight.tensors import Views
from wordsight.translator.mlp import Translator


def word_rates(captions: Sequence[Sequence[str]], *, min_images: int = 4) -> tuple[list[str], Tensor]:
    """The words used for at least ``min_images`` images, and the share of each image's captions that use them."""
    words = [[content_words(caption) for caption in image] for image in captions]
    counts = Counter(word for image in words for word in set().union(*image))
    vocabulary = sorted(word for word, count in counts.items() if count >= min_images)
    column = {word: i for i, word in enumerate(vocabulary)}
    rates = torch.zeros(len(captions), len(vocabulary))
    for row, image in enumerate(words):
        for caption in image:
            for word in caption & column.keys():
                rates[row, column[word]] += 1 / len(image)
    return vocabulary, rates


def warm_start(
    translator: Translator,
    views: Views,
    captions: Sequence[Sequence[str]],
    *,
    epochs: int = 20,
    learning_rate: float = 1e-3,
    batch: int = 128,
    noise: float = 0.5,
    generator: torch.Generator,
) -> tuple[list[str], Tensor]:
    """Train ``translator.trunk`` in place as a word probe. Returns its vocabulary and output weights (words, hidden).

    ``noise`` is in units of the features' spread.
    """
    vocabulary, rates = word_rates(captions)
    if not vocabulary:
        return [], torch.zeros(0, translator.to_prefix.in_features)
    probe = nn.Linear(translator.to_prefix.in_features, len(vocabulary))
    prior = rates.mean(0).clamp(1e-4, 1 - 1e-4)
    probe.bias.data = torch.log(prior / (1 - prior))
    parameters = [*translator.trunk.parameters(), *probe.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.05)
    steps = epochs * math.ceil(len(views) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.1)
    translator.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(views), generator=generator).split(batch):
            z = translator.standardise(mix_views(views[rows], generator))
            z = z + noise * torch.randn(z.shape, generator=generator)
            loss = nn.functional.binary_cross_entropy_with_logits(
                probe(translator.trunk(z)), rates[rows], reduction="sum"
            ) / len(rows)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return vocabulary, probe.weight.detach()


def mix_views(views: Views, generator: torch.Generator | None = None) -> Tensor:
    """One feature vector an image: a random average of the features of its views."""
    weight = torch.rand(views.shape[:2], generator=generator).square()
    return ((weight / weight.sum(1, keepdim=True))[..., None] * views).sum(1)
