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

from collections.abc import Collection, Mapping, Sequence
from math import sqrt

import torch
from jaxtyping import Float, Int
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


class _Sums:
    """Sums by cell and word. Most pairs of the two never occur, so they are kept as a list."""

    def __init__(self) -> None:
        self._keys: list[Tensor] = []
        self._amounts: list[Tensor] = []
        self._loose = 0

    def add(self, cell: Int[Tensor, " n"], word: Int[Tensor, " n"], amount: Float[Tensor, " n"]) -> None:
        self._keys.append(_pair(cell, word))
        self._amounts.append(amount)
        self._loose += len(cell)
        if self._loose > _LOOSE:
            self.entries()

    def entries(self) -> tuple[Tensor, Tensor, Tensor]:
        """Cell, word and sum of every pair that occurred, by cell."""
        if not self._keys:
            return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.float64)
        keys, which = torch.cat(self._keys).unique(return_inverse=True)
        sums = torch.zeros(len(keys), dtype=torch.float64).index_add_(0, which, torch.cat(self._amounts))
        self._keys, self._amounts, self._loose = [keys], [sums], 0
        return keys >> 32, keys & 0xFFFFFFFF, sums


#: Numbers that wait to be summed up at most: 32 MiB.
_LOOSE = 1 << 21


class Tally:
    """Counts, and what to add to them, by image, stratum and word; over one or more rounds of draws."""

    def __init__(self, lexicon: Lexicon, *, images: int, strata: int) -> None:
        self._lexicon = lexicon
        self._strata = strata
        self._cells = images * strata
        self._size = torch.zeros(self._cells, dtype=torch.long)
        self._sums = {name: _Sums() for name in _SUMS}

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
        self._sums["surplus"].add(cell[taken], word[taken], -ones[taken])
        self._sums["picked"].add(cell[new], word[new], ones[new])
        self._sums["lost"].add(cell[lost], before[lost], ones[lost])
        self._sums["lost"].add(cell[gone], taken_in[gone], ones[gone])
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
            self._sums["surplus"].add(passing[cell] % self._cells, word[pair], count[cell] * share[pair])
        return torch.cat(pairs)

    def count(self, words: Sequence[Collection[str]], sentence: Int[Tensor, " draws"]) -> None:
        """Take in the finished sentences: the content words of each distinct one, and which one each draw became."""
        ids = [[self._lexicon.word_id(word) for word in found] for found in words]
        length = torch.tensor([len(found) for found in ids])[sentence]
        draw = torch.arange(len(sentence)).repeat_interleave(length)
        word = torch.tensor([i for s in sentence.tolist() for i in ids[s]], dtype=torch.long)
        self._sums["counted"].add(self._cell[draw], word, torch.ones(len(word), dtype=torch.float64))

    def rates(self, *, conditional: bool = True) -> list[WordRates]:
        """Each image's words that a sentence has, or could well have had; plain shares of sentences unless ``conditional``."""
        entries = {name: sums.entries() for name, sums in self._sums.items()}
        # Few sentences leave out many words by chance, whose rates are known all the same. What is no English word is the
        # beginning of one ("fris") that would have gone on, had it been drawn.
        english = torch.tensor([is_english(word) for word in self._lexicon.words], dtype=torch.bool)
        return [self._of_image(i, entries, english, conditional) for i in range(self._cells // self._strata)]

    def _of_image(
        self, image: int, entries: Mapping[str, tuple[Tensor, Tensor, Tensor]], english: Tensor, conditional: bool
    ) -> WordRates:
        size = self._size[image * self._strata : (image + 1) * self._strata, None].double()
        drawn = int(size.sum())
        known, sums = self._image_sums(image, entries)
        if not len(known):  # sentences of a token or two may have no words
            return WordRates({}, drawn)
        counted = sums["counted"]
        estimate = counted + _kept(sums["picked"], sums["lost"]) * sums["surplus"] if conditional else counted
        share = estimate.sum(0) / drawn
        # Strata are independent and, to within one draw, of equal size.
        error = (estimate / size.clamp(min=1)).std(0, correction=min(1, self._strata - 1)) / sqrt(self._strata)
        count = counted.sum(0)
        reported = (count > 0) | ((share >= MIN_UNSEEN) & english[known])
        words = {
            self._lexicon.words[word]: WordRate(int(of), *rate_estimate(rate, deviation, drawn, parts=self._strata))
            for word, of, rate, deviation in zip(
                *(values[reported].tolist() for values in (known, count, share, error)), strict=True
            )
        }
        # By name, not as they were met, which depends on the other images that are sampled together.
        return WordRates(dict(sorted(words.items())), drawn)

    def _image_sums(
        self, image: int, entries: Mapping[str, tuple[Tensor, Tensor, Tensor]]
    ) -> tuple[Int[Tensor, " words"], dict[str, Float[Tensor, "strata words"]]]:
        """The numbers of the image's words, and every sum by stratum and word."""
        ends = torch.tensor([image * self._strata, (image + 1) * self._strata])
        own = {}
        for name, (cell, word, amount) in entries.items():
            first, last = torch.searchsorted(cell, ends).tolist()
            own[name] = cell[first:last] - ends[0], word[first:last], amount[first:last]
        known = torch.cat([word for _, word, _ in own.values()]).unique()
        sums = {}
        for name, (stratum, word, amount) in own.items():
            sums[name] = torch.zeros(self._strata, len(known), dtype=torch.float64)
            sums[name][stratum, torch.searchsorted(known, word)] = amount
        return known, sums


def _pair(node: Int[Tensor, " n"], token: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """One number for two, a node and a token or a cell and a word; the second is below 2^32."""
    return (node << 32) | token


def _kept(picked: Tensor, lost: Tensor) -> Tensor:
    """The share of a word's picks that stay that word, by stratum (strata, words), from the other half's strata."""
    half = torch.arange(len(picked)) % 2
    kept = torch.ones_like(picked)
    for own in (0, 1):
        picks, losses = picked[half != own].sum(0), lost[half != own].sum(0)
        kept[half == own] = torch.where(picks > 0, 1 - losses / picks.clamp(min=1), 1.0)
    return kept
