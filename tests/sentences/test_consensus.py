from collections import Counter
from math import exp

import pytest

from wordsight.sentences.consensus import _ngrams, bleu, consensus


def test_the_sentence_that_shares_most_with_the_others_comes_first():
    said = ["A dog runs.", "A dog runs fast.", "A brown dog runs.", "Two men eat."]
    assert consensus(Counter(said), limit=4)[0] == "A dog runs."
    assert consensus(Counter(said), limit=4)[-1] == "Two men eat."


def test_frequency_counts_and_ties_fall_to_the_alphabet():
    assert consensus(Counter(["b", "b", "a"]), limit=2) == ["b", "a"]
    assert consensus(Counter("ba"), limit=2) == ["a", "b"]


def test_empty_sentences_are_left_out():
    assert consensus(Counter(["", "", "A cat."])) == ["A cat."]
    assert consensus(Counter()) == []


def test_bleu_by_hand():
    short, long = _ngrams("A dog runs."), _ngrams("a dog runs fast")
    # Precisions 3/3, 3/3, 2/2 and 1/1 (one added for n > 1), and a brevity penalty of exp(1 - 4/3).
    assert bleu(short, long) == pytest.approx(exp(-1 / 3))
    # 3/4, 3/4, 2/3 and 1/2, and no penalty for being longer.
    assert bleu(long, short) == pytest.approx((3 / 4 * 3 / 4 * 2 / 3 / 2) ** 0.25)
    assert bleu(short, short) == pytest.approx(1)
    assert bleu(short, _ngrams("two men eat")) == 0
    # A word counts as often as the other sentence has it: 1 of 3.
    assert bleu(_ngrams("a a a"), _ngrams("a b c")) == pytest.approx((1 / 3 * 1 / 3 * 1 / 2 * 1 / 1) ** 0.25)


def test_thousands_of_sentences_are_compared_by_their_best_candidates():
    said = Counter({f"a dog number{i} runs": 1 for i in range(3000)}) + Counter({"a dog runs": 2, "two men eat": 5})
    assert consensus(said, limit=1) == ["a dog runs"]
