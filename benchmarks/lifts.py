"""What lifts are measured against: usual features, or the mean feature as before.

    python benchmarks/lifts.py SHARED [--images 40] [--out benchmarks/results/lifts.json]

Of the second, fourth, ... line of each dev.txt the first --images photographs, 100 sentences each; six minutes on two cores. Of an
image's twenty most frequent words: how well the lift tells those that a person used from the others (area under the ROC curve, mean
over images), how well the rate does, and what a word that is common everywhere has for a lift: the words that people use most often,
where nobody used them.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from provenance import provenance
from starter_data import SETS, lines
from wordsight.explain import Explainer, Explanation
from wordsight.language.content import content_words
from wordsight.models import load_models
from wordsight.runtime import tune_memory
from wordsight.sentences.sampling import Sampling
from wordsight.translator.captions import read_captions
from wordsight.words.baseline import baseline
from wordsight.words.joined import head_words, join
from wordsight.words.scores import WordScore, word_table

#: Words of an image that are looked at; sentences of an image; words that people use most often.
TOP, SENTENCES, COMMON = 20, 100, 10


def area(values: list[float], used: list[bool]) -> float | None:
    """The area under the ROC curve; None where all words were used, or none."""
    return float(roc_auc_score(used, values)) if len(set(used)) == 2 else None


def measured(tables: dict[str, list[WordScore]], people: set[str], common: set[str]) -> dict[str, list[float]]:
    """Of one image: areas by score, and the lifts of common words that nobody used, by reference."""
    found: dict[str, list[float]] = {}
    for name, table in tables.items():
        top = table[:TOP]
        used = [score.word in people for score in top]
        scores = {f"{name}: lift": [score.lift or 0.0 for score in top], "rate": [score.rate for score in top]}
        for score, values in scores.items():
            one = area(values, used)
            found[score] = [] if one is None else [one]
        found[f"{name}: lift of common words"] = [
            score.lift or 0.0 for score in top if score.word in common and score.word not in people
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/lifts.json"))
    options = parser.parse_args()
    tune_memory()
    explainer = Explainer()
    models = explainer.models
    before = load_models()
    before.translator.reference = before.translator.reference[:0]
    sampling = Sampling(sentences=SENTENCES)
    usual = {name: baseline(of, sampling, "both") for name, of in (("usual features", models), ("mean feature", before))}
    results = {}
    for name in SETS:
        folder = options.shared / name
        captions = read_captions(folder / "captions.csv")
        uses = Counter(
            w for image in lines(folder / "train.txt") for w in {w for c in captions[image] for w in content_words(c)}
        )
        common = {word for word, _ in uses.most_common(COMMON)}
        chosen = lines(folder / "dev.txt")[1::2][: options.images]
        all_of: dict[str, list[float]] = {}
        for result in explainer.explain_each([folder / "images" / image for image in chosen], sampling):
            assert isinstance(result, Explanation), result
            head = models.word_rates(result.z)
            assert head is not None
            rates = join(result.sampled.rates, head_words(head, 0))
            tables = {of: word_table(rates, against, sentences=SENTENCES) for of, against in usual.items()}
            people = set().union(*(content_words(caption) for caption in captions[result.image]))
            for score, values in measured(tables, people, common).items():
                all_of.setdefault(score, []).extend(values)
        results[name] = {score: round(float(np.mean(values)), 3) for score, values in all_of.items()} | {"images": len(chosen)}
        print(name, json.dumps(results[name]), flush=True)
        options.out.write_text(json.dumps(provenance() | results, indent=1) + "\n")


if __name__ == "__main__":
    main()
