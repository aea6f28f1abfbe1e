"""Word rates by conditional expectation (Rao-Blackwell), with intervals from independent strata.

At a visited beginning the whole next-token distribution is known, not only the tokens drawn from it. For a word w let C be
the tokens that would put w into the sentence there. The draws that pass, n of them, pick one of C about ``n * p(C)`` times;
what they picked beyond or short of that is chance and is taken off::

    rate(w) = (sentences that contain w + sum over beginnings of (n * p(C) - draws that picked C)) / sentences

The sum has expectation zero whatever C is, as long as C is fixed by the beginning, so the rate stays unbiased for every word.
For a word that is complete after one token the two counts cancel and leave the sum of ``n * p(C)``.

Intervals come from the differences between strata, which are independent of each other, so they hold in every mode. They
cover the truth as often as they say for words that ten or more of the sentences should contain; rarer ones of several tokens
less often, since all the strata can miss the same beginnings.
"""

from collections.abc import Collection, Sequence
from math import sqrt

import torch
from jaxtyping import Int
from torch import Tensor

from wordsight.sentences.lexicon import Lexicon
from wordsight.sentences.tree import Step
from wordsight.words.scores import WordRate, WordRates, rate_estimate


class Tally:
    """Counts, and what to add to them, by image, stratum and word; over one or more rounds of draws."""

    def __init__(self, lexicon: Lexicon, *, images: int, strata: int) -> None:
        self._lexicon = lexicon
        self._strata = strata
        self._cells = images * strata
        self._size = torch.zeros(self._cells, dtype=torch.long)
        self._sums = {name: torch.zeros(self._cells, 0, dtype=torch.float64) for name in ("counted", "added")}

    def begin(self, image: Int[Tensor, " draws"], stratum: Int[Tensor, " draws"], steps: int) -> None:
        """Begin a round: the image and stratum of each draw, and the most tokens that a sentence can have."""
        self._cell = image * self._strata + stratum
        self._size += torch.bincount(self._cell, minlength=self._cells)
        # By draw: the run its sentence so far ends in, the words by the step they began at, and where the last one began.
        self._run = torch.zeros(len(image), dtype=torch.long)
        self._words = torch.full((len(image), steps), -1)
        self._began = torch.zeros(len(image), dtype=torch.long)

    def observe(self, step: Step) -> None:
        """Take in one step of the tree."""
        self._expect(step)
        before = self._run[step.draws]
        run, word, goes_on = self._lexicon.after(before, step.tokens)
        began = torch.where(goes_on, self._began[step.draws], step.number)
        new = (word >= 0) & ~(self._words[step.draws] == word[:, None]).any(1)
        self._add("added", self._cell[step.draws[new]], word[new], -torch.ones(int(new.sum()), dtype=torch.float64))
        self._words[step.draws, began] = word
        self._began[step.draws], self._run[step.draws] = began, run

    def _expect(self, step: Step) -> None:
        nodes = int(step.node[-1]) + 1
        one = torch.searchsorted(step.node, torch.arange(nodes))  # any draw of a node knows its beginning
        one = step.draws[one]
        # Cells (image and stratum) of each node's draws, with how many draws they have there.
        passing, count = (step.node * self._cells + self._cell[step.draws]).unique(return_counts=True)
        cells_of_node = torch.bincount(passing // self._cells, minlength=nodes)
        first_cell = cells_of_node.cumsum(0) - cells_of_node
        for found in step.nuclei:
            node, place = (found.share > 0).nonzero(as_tuple=True)
            token, share, node = found.ids[node, place], found.share[node, place].double(), found.rows[node]
            _, word, _ = self._lexicon.after(self._run[one[node]], token)
            new = (word >= 0) & ~(self._words[one[node]][:, : step.number + 1] == word[:, None]).any(1)
            node, word, share = node[new], word[new], share[new]
            repeat = cells_of_node[node]
            pair = torch.arange(len(node)).repeat_interleave(repeat)
            within = torch.arange(len(pair)) - (repeat.cumsum(0) - repeat)[pair]
            cell = first_cell[node[pair]] + within
            self._add("added", passing[cell] % self._cells, word[pair], count[cell] * share[pair])

    def count(self, words: Sequence[Collection[str]], sentence: Int[Tensor, " draws"]) -> None:
        """Take in the finished sentences: the content words of each distinct one, and which one each draw became."""
        ids = [[self._lexicon.word_id(word) for word in some] for some in words]
        length = torch.tensor([len(some) for some in ids])[sentence]
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
        """Each image's words with a rate that is not zero; plain shares of sentences unless ``conditional``."""
        sums = self._padded("counted")
        counted = sums.view(-1, self._strata, sums.shape[1])
        estimate = counted + self._padded("added").view_as(counted) if conditional else counted
        size = self._size.view(-1, self._strata, 1).double()
        sentences = size.sum(1)
        share = estimate.sum(1) / sentences
        # Strata are independent and, to within one draw, of equal size.
        error = (estimate / size.clamp(min=1)).std(1, correction=min(1, self._strata - 1)) / sqrt(self._strata)

        def found(image: int, word: int, drawn: int) -> WordRate:
            estimate = rate_estimate(float(share[image, word]), float(error[image, word]), drawn, parts=self._strata)
            return WordRate(int(counted[image, :, word].sum()), *estimate)

        words = self._lexicon.words
        return [
            WordRates({words[w]: found(image, w, drawn) for w in share[image].nonzero().flatten().tolist()}, drawn)
            for image, drawn in enumerate(sentences.flatten().int().tolist())
        ]

    def _padded(self, name: str) -> Tensor:
        sums = self._sums[name]
        missing = len(self._lexicon.words) - sums.shape[1]
        return torch.nn.functional.pad(sums, (0, missing))
