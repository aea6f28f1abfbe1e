"""Which content word a sentence so far ends in, token by token."""

import re

import torch
from jaxtyping import Int
from torch import Tensor

from wordsight.language.content import FIRST, content_words, lemma, pair, plain
from wordsight.language.model import LanguageModel

_ENDS_IN = re.compile(r"[a-z-]*$")
_NO_WORD = -1


class Lexicon:
    """Numbers for content words and for *runs*: the letters and hyphens that a text ends in, to which the next token may add.

    Run 0 is the empty run. A run keeps the word before it if the two may be a name ("polar bear"). Vocabulary tokens are taken
    apart when they first occur.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self._lm = lm
        # A piece of text is what a token adds behind another one: tokenizers put spaces before words, not into tokens.
        self._anchor = lm.encode("a")[-2]
        self._before = len(lm.pieces([[self._anchor]])[0])
        self.words: list[str] = []
        self._word_ids: dict[str, int] = {}
        self._runs: list[str] = []
        self._run_ids: dict[str, int] = {}
        self._word_of_run = torch.zeros(0, dtype=torch.long)
        self._paired = torch.zeros(0, dtype=torch.bool)
        self._first = torch.zeros(0, dtype=torch.bool)
        self._run("")
        self._read_runs()
        size = lm.vocabulary
        self._known = torch.zeros(size, dtype=torch.bool)
        self._continues = torch.zeros(size, dtype=torch.bool)
        self._follows = torch.zeros(size, dtype=torch.bool)  # begins a word right behind the one before it
        self._own_run = torch.zeros(size, dtype=torch.long)
        self._longer: dict[tuple[int, int], int] = {}

    def word_id(self, word: str) -> int:
        """The number of a content word."""
        if word not in self._word_ids:
            self._word_ids[word] = len(self.words)
            self.words.append(word)
        return self._word_ids[word]

    def after(self, run: Int[Tensor, " n"], token: Int[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What becomes of runs when a token follows.

        Returns (the new run, its content word or -1, whether the old run went on, whether the new word is a pair that takes the
        word before it in).
        """
        self._learn(token)
        result = self._own_run[token].clone()
        goes_on = self._continues[token] & (run > 0)
        longer = goes_on | (self._follows[token] & self._first[run])
        if bool(longer.any()):
            pairs, where = torch.stack([run[longer], token[longer]]).unique(dim=1, return_inverse=True)
            runs = [self._lengthen(r, t) for r, t in pairs.T.tolist()]
            result[longer] = torch.tensor(runs, dtype=torch.long)[where]
        self._read_runs()
        return result, self._word_of_run[result], goes_on, self._paired[result]

    def _read_runs(self) -> None:
        """Keep up with the runs: their words, which are pairs, and which the next word may make one."""
        if fresh := [self._read(run) for run in self._runs[len(self._word_of_run) :]]:
            words, paired, first = zip(*fresh, strict=True)
            self._word_of_run = torch.cat([self._word_of_run, torch.tensor(words, dtype=torch.long)])
            self._paired = torch.cat([self._paired, torch.tensor(paired, dtype=torch.bool)])
            self._first = torch.cat([self._first, torch.tensor(first, dtype=torch.bool)])

    def _lengthen(self, run: int, token: int) -> int:
        key = (run, token)
        if key not in self._longer:
            old, own = self._runs[run], self._runs[int(self._own_run[token])]
            # Of three words in a row only the last two can still be a pair.
            self._longer[key] = self._run(old + own if self._continues[token] else f"{old.rpartition(' ')[2]} {own}")
        return self._longer[key]

    def _learn(self, tokens: Tensor) -> None:
        unknown = tokens[~self._known[tokens]].unique()
        if len(unknown) == 0:
            return
        pieces = self._lm.pieces([[self._anchor, token] for token in unknown.tolist()])
        for token, text in zip(unknown.tolist(), pieces, strict=True):
            piece = plain(text[self._before :])
            found = _ENDS_IN.search(piece)
            end = found.group() if found else ""
            self._own_run[token] = self._run(end)
            self._continues[token] = bool(piece) and end == piece
            self._follows[token] = bool(end) and piece == f" {end}"
        self._known[unknown] = True

    def _run(self, text: str) -> int:
        if text not in self._run_ids:
            self._run_ids[text] = len(self._runs)
            self._runs.append(text)
        return self._run_ids[text]

    def _read(self, run: str) -> tuple[int, bool, bool]:
        """A run's content word or -1, whether that is a pair, and whether the next word may make it one."""
        before, _, last = run.rpartition(" ")
        joined = pair(lemma(before), lemma(last)) if before else None
        found = content_words(last) if joined is None else {joined} - {""}
        word = self.word_id(next(iter(found))) if len(found) == 1 else _NO_WORD
        return word, joined is not None, bool(last) and lemma(last) in FIRST
