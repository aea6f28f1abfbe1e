"""Prefixes -> sentences and word rates."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.language.content import content_words
from wordsight.language.model import LanguageModel
from wordsight.sentences.estimates import WordRates
from wordsight.sentences.lexicon import Lexicon
from wordsight.sentences.rates import Tally
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.tree import first_steps, grow
from wordsight.tensors import Prefix

#: Independent parts that an image's sentences are drawn in; their differences give the standard error of a word's rate.
STRATA = 20
#: Changes when rates are estimated in another way: stored rates are keyed by it.
ESTIMATOR = 3
#: Memory for keys and values by default, in bytes. With it 2,000 independent sentences of the starter's language model take
#: less memory than ``generate`` in its best batches (benchmarks/engine.py).
MEMORY = 320 << 20
#: Sentences an image at most, however precise the rates should be.
MAX_SENTENCES = 100_000


@dataclass(frozen=True)
class Sampled:
    """What was sampled for one image: the distinct sentences with their counts, and the rates of their words."""

    sentences: Counter[str]
    rates: WordRates


#: Of an image for which none were sampled.
NO_SENTENCES = Sampled(Counter(), WordRates({}, 0))


def sample(
    lm: LanguageModel,
    prefix: Prefix,
    sampling: Sampling,
    *,
    seeds: Sequence[int],
    conditional: bool = True,
    memory: int | None = None,
    on_sentences: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sampled]:
    """Sentences for each image's prefix, and how frequent each content word is in them.

    ``seeds`` has one seed an image (``sampling.seed`` is not looked at): an image's draws depend on its own seed alone, not on
    its neighbours in the batch. With ``sampling.precision`` drawing goes on after ``sampling.sentences`` (at least ``STRATA``)
    until the 95% interval of no word in a sentence reaches further than this above and below its value, or ``MAX_SENTENCES``
    are drawn. ``conditional``: rates by conditional expectation (see ``rates``) rather than shares of sentences. ``memory``
    bounds the keys and values that are kept at a time, in bytes: by default ``MEMORY``, on a GPU a quarter of what is free there.
    """
    precision = sampling.precision
    sentences = sampling.sentences if precision is None else max(sampling.sentences, STRATA)
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
    return [Sampled(sentences, found) for sentences, found in zip(rounds.sentences, rates, strict=True)]


def _more(rates: WordRates, precision: float) -> int:
    """How many sentences more it should take until every word is known to within ``precision``; 0 if it is."""
    widest = max(((r.high - r.low) / 2 for r in rates.words.values() if r.count), default=0.0)
    if widest <= precision:
        return 0
    # A tenth more than the square-root law asks for, so that one round more is usually the last.
    wanted = rates.sentences * 1.1 * (widest / precision) ** 2
    return max(0, min(MAX_SENTENCES, ceil(wanted)) - rates.sentences)


class _Rounds:
    """Draws for several images, in rounds that add to one tally."""

    def __init__(
        self,
        lm: LanguageModel,
        prefix: Prefix,
        sampling: Sampling,
        strata: int,
        seeds: Sequence[int],
        memory: int | None,
        on_sentences: Callable[[int, int], None],
    ) -> None:
        self.lm, self.prefix, self.sampling, self.strata = lm, prefix, sampling, strata
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.max_rows = rows_within(memory, lm.row_bytes(prefix.shape[1], first_steps(sampling.max_tokens)), lm.device)
        self.tally = Tally(Lexicon(lm), images=len(prefix), strata=strata)
        self.sentences: list[Counter[str]] = [Counter() for _ in seeds]
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
            max_nodes=self.max_rows,
            on_step=self.tally.observe,
            on_ended=self._ended,
        )
        distinct, which = tokens.unique(dim=0, return_inverse=True)
        texts = self.lm.decode(cut_at_end(distinct, self.lm.end))
        self.tally.count([content_words(text) for text in texts], which)
        for number, sentence in zip(image.tolist(), which.tolist(), strict=True):
            self.sentences[number][texts[sentence]] += 1

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


def rows_within(memory: int | None, row_bytes: int, device: torch.device) -> int:
    """How many beginnings to evaluate at a time: their keys and values, and as many that wait, fit into ``memory`` bytes."""
    if memory is None:
        memory = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else MEMORY
    return max(1, min(_MAX_ROWS if device.type == "cpu" else _MAX_ROWS_GPU, memory // (2 * row_bytes)))


#: More rows at a time than this make no step faster.
_MAX_ROWS, _MAX_ROWS_GPU = 1024, 8192


def cut_at_end(tokens: Int[Tensor, "rows tokens"], end: int) -> list[list[int]]:
    """Each row up to its first end-of-text token."""
    return [row[: row.index(end)] if end in row else row for row in tokens.tolist()]


def image_seed(seed: int, content: str) -> int:
    """A seed of its own for every content, so that the noise of several images is independent, whatever their order and names."""
    return int.from_bytes(hashlib.sha256(f"{seed} {content}".encode()).digest()[:7], "big")
