"""Prefixes -> sentences and word rates."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.sentences import MEMORY_MIB
from wordsight.sentences.cache import bytes_a_position
from wordsight.sentences.lexicon import Lexicon
from wordsight.sentences.nucleus import Sampling
from wordsight.sentences.rates import Tally
from wordsight.sentences.tree import first_room, grow
from wordsight.tensors import Prefix
from wordsight.translator.language_model import LanguageModel
from wordsight.words.content import content_words
from wordsight.words.scores import WordRates

#: Independent parts that an image's sentences are drawn in; their differences say how sure a word's rate is.
STRATA = 20
#: Changes when rates are estimated in another way: rates that are kept are kept under it.
ESTIMATOR = 3
#: Memory for keys and values by default, in bytes.
MEMORY = MEMORY_MIB << 20
#: Sentences an image at most, however precise the rates should be.
MOST_SENTENCES = 100_000


@dataclass(frozen=True)
class Sampled:
    """What was sampled for one image: the distinct sentences with their counts, and the rates of their words."""

    sentences: Counter[str]
    rates: WordRates


def sample(
    lm: LanguageModel,
    prefix: Prefix,
    *,
    sentences: int,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    seeds: Sequence[int],
    precision: float | None = None,
    conditional: bool = True,
    memory: int = MEMORY,
    on_sentences: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sampled]:
    """``sentences`` sentences for each image's prefix, and how often they say each content word.

    ``seeds`` has one seed an image: an image's draws depend on its own seed alone, not on its neighbours in the batch.
    ``precision``: go on after ``sentences`` (at least ``STRATA``) until the 95% interval of no word that is said reaches
    further than this above and below its middle, or ``MOST_SENTENCES`` are drawn. ``conditional``: rates by conditional
    expectation (see ``rates``) rather than shares of sentences. ``memory`` bounds the keys and values that are kept at a time,
    in bytes.
    """
    if sentences < 1:
        raise ValueError(f"sentences is {sentences}, wanted at least 1.")
    if precision is not None and not 0 < precision < 1:
        raise ValueError(f"precision is {precision}, wanted a number between 0 and 1, for instance 0.02 (two points).")
    if precision is not None:
        sentences = max(sentences, STRATA)
    strata = min(STRATA, sentences)
    rounds = _Rounds(lm, prefix, sampling, strata, seeds, memory, on_sentences)
    rounds.draw([sentences] * len(prefix))
    while precision is not None:
        more = [_more(rates, precision) for rates in rounds.tally.rates(conditional=conditional)]
        if not any(more):
            break
        # A multiple of the strata, so that these stay equally large.
        rounds.draw([-(-number // strata) * strata for number in more])
    rates = rounds.tally.rates(conditional=conditional)
    return [Sampled(said, found) for said, found in zip(rounds.said, rates, strict=True)]


def _more(rates: WordRates, precision: float) -> int:
    """How many sentences more it should take until every word is known to within ``precision``; 0 if it is."""
    widest = max(((r.high - r.low) / 2 for r in rates.words.values() if r.count), default=0.0)
    if widest <= precision:
        return 0
    # A tenth more than the square-root law asks for, so that one round more is usually the last.
    wanted = rates.sentences * 1.1 * (widest / precision) ** 2
    return max(0, min(MOST_SENTENCES, ceil(wanted)) - rates.sentences)


class _Rounds:
    """Draws for several images, in rounds that add to one tally."""

    def __init__(
        self,
        lm: LanguageModel,
        prefix: Prefix,
        sampling: Sampling,
        strata: int,
        seeds: Sequence[int],
        memory: int,
        on_sentences: Callable[[int, int], None],
    ) -> None:
        self.lm, self.prefix, self.sampling, self.strata = lm, prefix, sampling, strata
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.most = rows_within(lm, memory, first_room(prefix.shape[1], sampling.max_tokens))
        self.tally = Tally(Lexicon(lm), images=len(prefix), strata=strata)
        self.said: list[Counter[str]] = [Counter() for _ in seeds]
        self.done = self.total = 0
        self.on_sentences = on_sentences

    def draw(self, numbers: Sequence[int]) -> None:
        """So many sentences for each image."""
        image = torch.arange(len(numbers)).repeat_interleave(torch.tensor(numbers))
        stratum = torch.cat([torch.arange(number) % self.strata for number in numbers])
        uniform = torch.cat([self._uniform(g, n) for g, n in zip(self.generators, numbers, strict=True)])
        self.tally.begin(image, stratum, self.sampling.max_tokens)
        self.total += len(image)
        tokens = grow(
            self.lm,
            self.prefix,
            image,
            uniform,
            self.sampling,
            stratum=stratum if self.sampling.mode == "stratified" else None,
            most=self.most,
            on_step=self.tally.observe,
            on_ended=self._ended,
        )
        distinct, which = tokens.unique(dim=0, return_inverse=True)
        texts = self.lm.decode(cut_at_end(distinct, self.lm.end))
        self.tally.count([content_words(text) for text in texts], which)
        for number, sentence in zip(image.tolist(), which.tolist(), strict=True):
            self.said[number][texts[sentence]] += 1

    def _uniform(self, generator: torch.Generator, sentences: int) -> Float[Tensor, "sentences steps"]:
        uniform = torch.rand(sentences, self.sampling.max_tokens, generator=generator)
        if self.sampling.mode == "exact":
            return uniform
        # A Latin hypercube in each stratum: at every step its draws' numbers are spread evenly over [0, 1), in random order.
        for first in range(min(self.strata, sentences)):
            size = len(uniform[first :: self.strata])
            order = torch.rand(size, self.sampling.max_tokens, generator=generator).argsort(0)
            uniform[first :: self.strata] = (order + uniform[first :: self.strata]) / size
        return uniform

    def _ended(self, ended: int) -> None:
        self.done += ended
        self.on_sentences(self.done, self.total)


def rows_within(lm: LanguageModel, memory: int, positions: int) -> int:
    """How many beginnings to evaluate at a time: their keys and values, and as many that wait, fit into ``memory`` bytes."""
    return max(1, min(_MOST_ROWS, memory // (2 * positions * bytes_a_position(lm))))


#: More rows at a time than this make no step faster.
_MOST_ROWS = 1024


def cut_at_end(tokens: Int[Tensor, "rows tokens"], end: int) -> list[list[int]]:
    """Each row up to its first end-of-text token."""
    return [row[: row.index(end)] if end in row else row for row in tokens.tolist()]
