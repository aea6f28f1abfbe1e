"""Scores of ranked words against what people wrote about the same images, and of baselines that need no language model.

Words are lower-cased; scikit-learn's English stop words and words under three letters are left out; plurals are folded. The same is
done to both sides. Of each image:

- P@10: share of its ten first words that at least one person used;
- AP@20: average precision of its first twenty words against the same set;
- MR@10: share of the words of three persons or more that are among its first ten.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

TOP = 20
Captions = Mapping[str, Sequence[str]]


def caption_words(text: str) -> list[str]:
    """The words of a text, in order, plurals folded."""
    words = []
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in ENGLISH_STOP_WORDS or len(word) < 3:
            continue
        if word.endswith("ies") and len(word) > 4:
            word = word[:-3] + "y"
        elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
            word = word[:-1]
        words.append(word)
    return words


def ranked(rates: Mapping[str, float]) -> list[str]:
    """Words by rate, the highest first; forms that fold into one word have the highest rate of them."""
    folded: dict[str, float] = defaultdict(float)
    for word, rate in rates.items():
        for form in caption_words(word):
            folded[form] = max(folded[form], rate)
    return sorted(folded, key=lambda word: (-folded[word], word))


def score(words: Mapping[str, Sequence[str]], captions: Captions) -> dict[str, float]:
    """Means over the images: P@10, AP@20, MR@10 (over images with a word of three persons) and the number of images."""
    precision, average, recall = [], [], []
    for image, found in words.items():
        people = [set(caption_words(caption)) for caption in captions[image]]
        used = set().union(*people)
        hits = np.array([word in used for word in found[:TOP]] + [False] * (TOP - len(found[:TOP])), float)
        precision.append(hits[:10].mean())
        average.append((np.cumsum(hits) / np.arange(1, TOP + 1) * hits).sum() / max(1, min(TOP, len(used))))
        times = Counter(word for person in people for word in person)
        if majority := {word for word, count in times.items() if count >= 3}:
            recall.append(len(majority & set(found[:10])) / len(majority))
    means = [round(float(np.mean(values)), 4) if values else 0.0 for values in (precision, average, recall)]
    return dict(zip(("P@10", "AP@20", "MR@10"), means, strict=True)) | {"images": len(precision)}


@dataclass(frozen=True)
class Known:
    """Images that baselines learn from: features (images, features), and their captions."""

    features: np.ndarray
    captions: Sequence[Sequence[str]]


def baselines(known: Known, features: np.ndarray, names: Sequence[str], captions: Captions) -> dict[str, dict[str, float]]:
    """Scores of the corpus prior, the captions of the 60 nearest features, and ridge regression from features to rates."""
    mean, spread = known.features.mean(0), known.features.std(0) + 1e-3
    x, held = (known.features - mean) / spread, (features - mean) / spread
    people = [[set(caption_words(caption)) for caption in image] for image in known.captions]
    uses = Counter(word for image in people for word in set().union(*image))
    vocabulary = sorted(word for word, count in uses.items() if count >= 5)
    column = {word: i for i, word in enumerate(vocabulary)}
    rates = np.zeros((len(people), len(vocabulary)))
    for row, image in enumerate(people):
        for caption in image:
            for word in caption & column.keys():
                rates[row, column[word]] += 1 / len(image)

    def scored(scores: np.ndarray) -> dict[str, float]:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        return score({name: [vocabulary[i] for i in order[row]] for row, name in enumerate(names)}, captions)

    similarity = held / np.linalg.norm(held, axis=1, keepdims=True) @ (x / np.linalg.norm(x, axis=1, keepdims=True)).T
    nearest = np.argsort(-similarity, axis=1)[:, :60]
    weight = np.exp(10 * np.take_along_axis(similarity, nearest, 1))
    weight /= weight.sum(1, keepdims=True)
    solution = np.linalg.solve(x.T @ x + 3000.0 * np.eye(x.shape[1]), x.T @ (rates - rates.mean(0)))
    return {
        "prior": scored(np.repeat(rates.mean(0)[None], len(held), 0)),
        "kNN-60": scored(np.stack([w @ rates[rows] for w, rows in zip(weight, nearest, strict=True)])),
        "ridge": scored(held @ solution + rates.mean(0)),
    }
