"""Warm start: teach the translator's trunk which words an image's captions use, before any language model is involved.

A multi-label word probe on the same features trains in seconds and generalises better from few images than the caption loss
does; the trunk starts as that probe's hidden layer, the probe's output layer is thrown away.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wordsight.tensors import Views
from wordsight.translator.mlp import Translator
from wordsight.translator.word_head import mix_views, word_rates

#: A word that the trunk learns is used for so many training images.
_MIN_IMAGES = 4


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
    vocabulary, rates = word_rates(captions, min_images=_MIN_IMAGES)
    if not vocabulary:
        return [], torch.zeros(0, translator.to_prefix.in_features)
    probe = nn.Linear(translator.to_prefix.in_features, len(vocabulary))
    prior = rates.mean(0).clamp(1e-4, 1 - 1e-4)
    probe.bias.data = torch.log(prior / (1 - prior))
    device = translator.mean.device
    parameters = [*translator.trunk.parameters(), *probe.to(device).parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.05)
    steps = epochs * math.ceil(len(views) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.1)
    translator.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(views), generator=generator).split(batch):
            z = translator.standardise(mix_views(views[rows], generator).to(device))
            z = z + noise * torch.randn(z.shape, generator=generator).to(device)
            said, told = probe(translator.trunk(z)), rates[rows].to(device)
            loss = nn.functional.binary_cross_entropy_with_logits(said, told, reduction="sum") / len(rows)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return vocabulary, probe.weight.detach().cpu()
