from collections import Counter

from wordsight.sentences.consensus import consensus


def test_the_sentence_that_shares_most_with_the_others_comes_first():
    said = ["A dog runs.", "A dog runs fast.", "A brown dog runs.", "Two men eat."]
    assert consensus(Counter(said), most=4)[0] == "A dog runs."
    assert consensus(Counter(said), most=4)[-1] == "Two men eat."


def test_frequency_counts_and_ties_fall_to_the_alphabet():
    assert consensus(Counter(["b", "b", "a"]), most=2) == ["b", "a"]
    assert consensus(Counter("ba"), most=2) == ["a", "b"]


def test_empty_sentences_are_left_out():
    assert consensus(Counter(["", "", "A cat."])) == ["A cat."]
    assert consensus(Counter()) == []
