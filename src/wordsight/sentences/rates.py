"""Word rates by conditional expectation (Rao-Blackwell), with intervals from independent strata.

At a visited beginning the whole next-token distribution is known, not only the tokens drawn from it. For a word w let C be
the tokens that would put w into the sentence there. The draws that pass, n of them, *pick* w (draw one of C) about ``n * p(C)``
times; what they pick beyond or short of that is chance and is taken off::

    rate(w) = (sentences that contain w + k * sum over beginnings of (n * p(C) - picks)) / sentences

The sum has expectation zero whatever C is, as long as C is fixed by the beginning and the number of draws that reach it, so the
rate is unbiased for every word and every k that the draws themselves do not decide. C leaves out tokens that less than
``MIN_PICKS`` picks are expected of; drawing one of them is no pick, and counts. ``k`` is the share of picks of w that
stay w: 1 for a word that is complete after its token, for which the two counts cancel and leave the sum of ``n * p(C)``; near 0
for "gra", which goes on to "graffiti" and whose sum is nothing but noise. It is taken from the other half of the strata, so
that it does not depend on the draws it is used with.

Intervals come from the differences between strata, which are independent of each other, so they hold in every mode; those of
rare words are kept wider (see ``rate_estimate``), since all the strata can miss the same beginnings. On enumerable models they
cover the truth in 93 to 97% of runs for words that ten or more of the sentences should contain, in 92 to 100% for rarer ones.
Rates of rare words that come out below zero are moved to zero.
"""

from collections.abc import Collection, Sequence
from math import sqrt

import torch
from jaxtyping import Int
from torch import Tensor

from wordsight.language.content import is_english
from wordsight.sentences.estimates import WordRate, WordRates, rate_estimate
from wordsight.sentences.lexicon import Lexicon
from wordsight.sentences.tree import Step

#: Tokens from which fewer picks are expected at a beginning are left to plain counting.
MIN_PICKS = 0.001
#: A word that no sentence contains is reported from this rate on.
MIN_UNSEEN = 0.005
#: The sums kept for each word: sentences that contain it; expected picks minus picks; picks; picks that became another word.
_SUMS = ("counted", "surplus", "picked", "lost")


class Tally:
    """Counts, and what to add to them, by image, stratum and word; over one or more rounds of draws."""

    def __init__(self, lexicon: Lexicon, *, images: int, strata: int) -> None:
        self._lexicon = lexicon
        self._strata = strata
        self._cells = images * strata
        self._size = torch.zeros(self._cells, dtype=torch.long)
        self._sums = {name: torch.zeros(self._cells, 0, dtype=torch.float64) for name in _SUMS}

    def begin(self, image: Int[Tensor, " draws"], stratum: Int[Tensor, " draws"], steps: int) -> None:
        """Begin a round: the image and stratum of each draw, and the most tokens that a sentence can have."""
        self._cell = image * self._strata + stratum
        self._size += torch.bincount(self._cell, minlength=self._cells)
        # By draw: the run its sentence so far ends in, the words by the step they began at, and where the last one began.
        self._run = torch.zeros(len(image), dtype=torch.int32)
        self._words = torch.full((len(image), steps), -1, dtype=torch.int32)
        self._began = torch.zeros(len(image), dtype=torch.long)
        self._first = torch.zeros(len(image), dtype=torch.long)

    def observe(self, step: Step) -> None:
        """Take in one step of the tree."""
        expected = self._expect(step)
        draws, cell = step.draws, self._cell[step.draws]
        run, word, goes_on, paired = self._lexicon.after(self._run[draws].long(), step.tokens)
        began = torch.where(goes_on, self._began[draws], step.number)
        # Where the word before this one began: a pair takes it in.
        first = torch.where(goes_on, self._first[draws], self._began[draws])
        before = self._words[draws, began].long()
        new = (word >= 0) & ~(self._words[draws] == word[:, None]).any(1)
        lost = goes_on & (before >= 0) & (before != word)
        taken_in = self._words[draws, first].long()
        gone = paired & (first != began) & (taken_in >= 0)
        # Only what was expected is taken off; what becomes of a word's tokens is learned from all of them.
        taken = new & torch.isin(_pair(step.node, step.tokens), expected)
        ones = torch.ones(len(draws), dtype=torch.float64)
        self._add("surplus", cell[taken], word[taken], -ones[taken])
        self._add("picked", cell[new], word[new], ones[new])
        self._add("lost", cell[lost], before[lost], ones[lost])
        self._add("lost", cell[gone], taken_in[gone], ones[gone])
        self._words[draws[gone], first[gone]] = -1
        self._words[draws, began] = word.int()
        self._began[draws], self._first[draws], self._run[draws] = began, first, run.int()

    def _expect(self, step: Step) -> Int[Tensor, " pairs"]:
        """Add up the picks that are expected; returns the pairs of node and token that they are expected of."""
        nodes = int(step.node[-1]) + 1
        any_draw = step.draws[torch.searchsorted(step.node, torch.arange(nodes))]  # it knows its node's beginning
        size = torch.bincount(step.node)
        # Cells (image and stratum) of each node's draws, with how many draws they have there.
        passing, count = (step.node * self._cells + self._cell[step.draws]).unique(return_counts=True)
        cells_of_node = torch.bincount(passing // self._cells, minlength=nodes)
        first_cell = cells_of_node.cumsum(0) - cells_of_node
        pairs = []
        for found in step.nuclei:
            expected = found.share * size[found.rows, None]
            node, column = (expected >= MIN_PICKS).nonzero(as_tuple=True)
            token, share, node = found.ids[node, column], found.share[node, column].double(), found.rows[node]
            pairs.append(_pair(node, token))
            draw = any_draw[node]
            _, word, _, _ = self._lexicon.after(self._run[draw].long(), token)
            new = word >= 0
            for earlier in range(step.number + 1):
                new &= self._words[draw, earlier] != word
            node, word, share = node[new], word[new], share[new]
            repeat = cells_of_node[node]
            pair = torch.arange(len(node)).repeat_interleave(repeat)
            within = torch.arange(len(pair)) - (repeat.cumsum(0) - repeat)[pair]
            cell = first_cell[node[pair]] + within
            self._add("surplus", passing[cell] % self._cells, word[pair], count[cell] * share[pair])
        return torch.cat(pairs)

    def count(self, words: Sequence[Collection[str]], sentence: Int[Tensor, " draws"]) -> None:
        """Take in the finished sentences: the content words of each distinct one, and which one each draw became."""
        ids = [[self._lexicon.word_id(word) for word in found] for found in words]
        length = torch.tensor([len(found) for found in ids])[sentence]
        draw = torch.arange(len(sentence)).repeat_interleave(length)
        word = torch.tensor([i for s in sentence.tolist() for i in ids[s]], dtype=torch.long)
        self._add("counted", self._cell[draw], word, torch.ones(len(word), dtype=torch.float64))

    def _add(self, name: str, cell: Tensor, word: Tensor, amount: Tensor) -> None:
        sums = self._sums[name]
        if sums.shape[1] < len(self._lexicon.words):
            grown = torch.zeros(self._cells, 2 * len(self._lexicon.words), dtype=torch.float64)
            grown[:, : sums.shape[1]] = sums
            self._sums[name] = sums = grown
        sums.view(-1).index_add_(0, cell * sums.shape[1] + word, amount)

    def rates(self, *, conditional: bool = True) -> list[WordRates]:
        """Each image's words that a sentence has, or could well have had; plain shares of sentences unless ``conditional``."""
        if not self._lexicon.words:  # sentences of a token or two may have none
            return [WordRates({}, int(drawn)) for drawn in self._size.view(-1, self._strata).sum(1).tolist()]
        sums = {name: self._padded(name).view(-1, self._strata, len(self._lexicon.words)) for name in _SUMS}
        counted = sums["counted"]
        estimate = counted + _kept(sums["picked"], sums["lost"]) * sums["surplus"] if conditional else counted
        size = self._size.view(-1, self._strata, 1).double()
        sentences = size.sum(1)
        share = estimate.sum(1) / sentences
        # Strata are independent and, to within one draw, of equal size.
        error = (estimate / size.clamp(min=1)).std(1, correction=min(1, self._strata - 1)) / sqrt(self._strata)
        # Few sentences leave out many words by chance, whose rates are known all the same. What is no English word is the
        # beginning of one ("fris") that would have gone on, had it been drawn.
        english = torch.tensor([is_english(word) for word in self._lexicon.words], dtype=torch.bool)
        reported = (counted.sum(1) > 0) | ((share >= MIN_UNSEEN) & english)

        def found(image: int, word: int, drawn: int) -> WordRate:
            estimate = rate_estimate(float(share[image, word]), float(error[image, word]), drawn, parts=self._strata)
            return WordRate(int(counted[image, :, word].sum()), *estimate)

        words = self._lexicon.words
        # By name, not as they were met, which depends on the other images that are sampled together.
        by_name = torch.tensor(sorted(range(len(words)), key=words.__getitem__))
        return [
            WordRates({words[w]: found(image, w, drawn) for w in by_name[reported[image][by_name]].tolist()}, drawn)
            for image, drawn in enumerate(sentences.flatten().int().tolist())
        ]

    def _padded(self, name: str) -> Tensor:
        sums = self._sums[name]
        missing = len(self._lexicon.words) - sums.shape[1]
        return torch.nn.functional.pad(sums, (0, missing))


def _pair(node: Int[Tensor, " n"], token: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """One number for a node and a token; tokens are below 2^32."""
    return (node << 32) | token


def _kept(picked: Tensor, lost: Tensor) -> Tensor:
    """The share of a word's picks that stay that word, by stratum (images, strata, words), from the other half's strata."""
    half = torch.arange(picked.shape[1]) % 2
    kept = torch.ones_like(picked)
    for own in (0, 1):
        picks, losses = picked[:, half != own].sum(1, keepdim=True), lost[:, half != own].sum(1, keepdim=True)
        kept[:, half == own] = torch.where(picks > 0, 1 - losses / picks.clamp(min=1), 1.0)
    return kept
