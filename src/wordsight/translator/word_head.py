"""The word head: features -> how probable each content word is in a description of the image, without a language model."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor, nn

from wordsight.language.content import content_words
from wordsight.runtime import OnProgress, no_progress
from wordsight.tensors import Features, Views

#: A word is in the head's vocabulary if the captions of so many training images use it.
MIN_IMAGES = 5


@dataclass(frozen=True)
class HeadRates:
    """What a word head says of images: ``rates`` in [0, 1] and their 95% half-widths ``reach`` (both images x words).

    The half-width says how far another ensemble would differ, not how far people differ; see ``ensemble_rates``.
    """

    vocabulary: tuple[str, ...]
    rates: Float[Tensor, "images words"]
    reach: Float[Tensor, "images words"]


class WordHead(nn.Module):
    """An ensemble of small networks with a narrow last hidden layer, on a translator's standardised features.

    ``vocabulary``: the words, in the order of the outputs. ``hidden`` and ``rank``: units of the two hidden layers.
    """

    def __init__(
        self, features: int, vocabulary: Sequence[str], *, hidden: int = 1024, rank: int = 384, members: int = 3
    ) -> None:
        super().__init__()
        self.vocabulary, self.hidden, self.rank = tuple(vocabulary), hidden, rank
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(0.2),
                nn.Linear(features, hidden),
                nn.GELU(),
                nn.Dropout(0.5),
                nn.Linear(hidden, rank),
                nn.GELU(),
                nn.Linear(rank, len(vocabulary)),
            )
            for _ in range(members)
        )

    def forward(self, x: Features) -> Float[Tensor, "members images words"]:
        """Standardised features -> the members' rates, in [0, 1]."""
        return torch.stack([member(x).sigmoid() for member in self.members])

    @torch.inference_mode()
    def rates(self, x: Features) -> HeadRates:
        """The mean of the members' rates and its 95% half-width, on the CPU. ``x``: standardised features."""
        mean, half_width = ensemble_rates(self.eval()(x))
        return HeadRates(self.vocabulary, mean.cpu(), half_width.cpu())

    def shape(self) -> dict[str, Any]:
        """What a head of the same shape is made from."""
        return {
            "vocabulary": list(self.vocabulary),
            "hidden": self.hidden,
            "rank": self.rank,
            "members": len(self.members),
        }


#: For how many degrees of freedom the spread of all of an image's words counts beside the word's own.
_PRIOR_FREEDOM = 8


def ensemble_rates(
    rates: Float[Tensor, "members images words"],
) -> tuple[Float[Tensor, "images words"], Float[Tensor, "images words"]]:
    """The mean of the members' rates, and its 95% half-width; 1 for a single member, which shows no spread.

    A few members say little of one word's variance. It is moderated (Smyth 2004): the mean of its own, with members - 1 degrees
    of freedom, and of that of all of the image's words, each weighted by r (1 - r), with ``_PRIOR_FREEDOM``; both of log-odds.
    """
    mean, count = rates.mean(0), len(rates)
    if count < 2:
        return mean, torch.ones_like(mean)
    own = rates.clamp(1e-6, 1 - 1e-6).logit().var(0)
    weight = mean * (1 - mean)
    usual = (own * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-12)
    freedom = count - 1 + _PRIOR_FREEDOM
    variance = ((count - 1) * own + _PRIOR_FREEDOM * usual) / freedom
    return mean, float(stdtrit(freedom, 0.975)) * (variance / count).sqrt() * weight


def word_rates(captions: Sequence[Sequence[str]], *, min_images: int) -> tuple[list[str], Float[Tensor, "images words"]]:
    """The words used for at least ``min_images`` images, and the share of each image's captions that use them."""
    words = _words_of(captions)
    counts = Counter(word for image in words for word in set().union(*image))
    vocabulary = sorted(word for word, count in counts.items() if count >= min_images)
    return vocabulary, _shares(words, vocabulary)


def rates_of(captions: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> Float[Tensor, "images words"]:
    """The share of each image's captions that use each word of the vocabulary."""
    return _shares(_words_of(captions), vocabulary)


def _words_of(captions: Sequence[Sequence[str]]) -> list[list[frozenset[str]]]:
    return [[content_words(caption) for caption in image] for image in captions]


def _shares(words: Sequence[Sequence[frozenset[str]]], vocabulary: Sequence[str]) -> Tensor:
    column = {word: i for i, word in enumerate(vocabulary)}
    rates = torch.zeros(len(words), len(vocabulary))
    for row, image in enumerate(words):
        for caption in image:
            for word in caption & column.keys():
                rates[row, column[word]] += 1 / len(image)
    return rates


def fit_word_head(
    x: Float[Tensor, "images views features"],
    captions: Sequence[Sequence[str]],
    *,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    batch: int = 128,
    noise: float = 0.5,
    members: int = 3,
    seed: int = 0,
    min_images: int = MIN_IMAGES,
    hidden: int = 1024,
    rank: int = 384,
    device: torch.device | str = "cpu",
    on_progress: OnProgress = no_progress,
) -> WordHead | None:
    """A word head from the standardised features of each image's views, and its captions; None if no word is frequent enough.

    Binary cross-entropy against the share of an image's captions that use a word. ``noise`` is in units of the features'
    spread. A word is in the vocabulary from ``min_images`` images on. Members differ in their start, their order of images, and
    their noise. ``on_progress`` gets the stage "word head".
    """
    vocabulary, rates = word_rates(captions, min_images=min_images)
    if not vocabulary:
        return None
    prior = rates.mean(0).clamp(1e-4, 1 - 1e-4)
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * math.ceil(len(x) / batch)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = WordHead(x.shape[2], vocabulary, hidden=hidden, rank=rank, members=members).train()
        for number, member in enumerate(head.members):
            assert isinstance(member, nn.Sequential)
            last = member[-1]
            assert isinstance(last, nn.Linear)
            last.bias.data = torch.log(prior / (1 - prior))
            member.to(device)
            optimiser = torch.optim.AdamW(member.parameters(), lr=learning_rate, weight_decay=0.05)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
            step = 0
            for _ in range(epochs):
                for rows in torch.randperm(len(x), generator=generator).split(batch):
                    z = mix_views(x[rows], generator)
                    z = z + noise * torch.randn(z.shape, generator=generator)
                    said, told = member(z.to(device)), rates[rows].to(device)
                    loss = nn.functional.binary_cross_entropy_with_logits(said, told, reduction="sum") / len(rows)
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    schedule.step()
                    step += 1
                    on_progress("word head", number * steps + step, members * steps)
    return head.cpu().eval().requires_grad_(False)


def mix_views(views: Views, generator: torch.Generator | None = None) -> Tensor:
    """One feature vector an image: a random average of the features of its views."""
    weight = torch.rand(views.shape[:2], generator=generator).square()
    return ((weight / weight.sum(1, keepdim=True))[..., None] * views).sum(1)
