"""How well ranked words agree with what people wrote about the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wordsight.language.content import content_words


@dataclass(frozen=True)
class Agreement:
    """Means over images, each in [0, 1], higher is better.

    ``precision_at_10``: share of the ten first words that any caption uses. ``average_precision_at_20``: average precision of
    the first twenty. ``majority_recall_at_10``: share of the words in three captions or more that are among the first ten.
    """

    precision_at_10: float
    average_precision_at_20: float
    majority_recall_at_10: float
    images: int


def agreement(ranked: Mapping[str, Sequence[str]], captions: Mapping[str, Sequence[str]]) -> Agreement:
    """Compare each image's words, most frequent first, with its captions' content words.

    Images without a caption are left out; those without a word in three captions do not count for the recall. All figures are
    0 if no image is left.
    """
    precisions, averages, recalls = [], [], []
    for image, words in ranked.items():
        words_of = [content_words(caption) for caption in captions.get(image, ())]
        used = frozenset().union(*words_of)
        if not used:
            continue
        hits = [word in used for word in words[:20]]
        precisions.append(sum(hits[:10]) / 10)
        averages.append(sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / min(20, len(used)))
        majority = {word for word in used if sum(word in caption for caption in words_of) >= 3}
        if majority:
            recalls.append(len(majority & set(words[:10])) / len(majority))
    means = (sum(values) / max(1, len(values)) for values in (precisions, averages, recalls))
    return Agreement(*means, images=len(precisions))
