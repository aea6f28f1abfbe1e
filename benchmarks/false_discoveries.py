"""How often an audit of an honest classifier has any finding, and how often it finds a true shortcut. Minutes on two cores.

    python benchmarks/false_discoveries.py [--draws 200] [--out benchmarks/results/false_discoveries.json]

Simulated audits: 300 words, 60 of them more frequent in one class; an honest classifier's margin is independent of every word
given the label. Its twin also moves with one word that half of each class's images have. Every word passes as *used*, so that what is
held here is held by the tests of errors alone. "any": share of draws with any finding (for the twin: with one of another word);
"found": share of the twin's draws with a finding of the planted word.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from provenance import provenance
from wordsight.audits.duplicates import fold
from wordsight.audits.evidence import Evidence
from wordsight.audits.findings import Limits, class_words
from wordsight.audits.statistics import Estimate

WORDS, ENRICHED = 300, 60
USED = Estimate(0.5, 0.4, 0.6)
#: How far the twin's margin moves with a standard deviation of the planted word; the noise has 1.
EFFECT = 0.7


@dataclass(frozen=True)
class Setting:
    """One kind of audit: so many images and classes; words that go along with each other; every image twice."""

    images: int
    classes: int = 2
    correlated: bool = False
    twice: bool = False


SETTINGS = (
    Setting(150),
    Setting(400),
    Setting(1000),
    Setting(400, classes=10),
    Setting(1000, classes=10),
    Setting(400, correlated=True),
    Setting(400, twice=True),
)


def draw(setting: Setting, effect: float, seed: int) -> tuple[Evidence, np.ndarray]:
    """Evidence of a classifier whose margin moves by ``effect`` standard deviations with word 0; and features to fold."""
    rng = np.random.default_rng(seed)
    n, k = setting.images, setting.classes
    label = np.arange(n) % k
    noise = rng.normal(size=(n, WORDS))
    if setting.correlated:
        noise = 0.6 * noise + 0.8 * rng.normal(size=(n, 20)).repeat(WORDS // 20, axis=1)
    home = rng.integers(k, size=WORDS)
    lean = np.where(np.arange(WORDS) < ENRICHED, 1.2, 0.0) * (label[:, None] == home)
    lean[:, 0] = 0  # the planted word says nothing of the label
    rates = 1 / (1 + np.exp(1.5 - noise - lean))
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), label] += 1.5
    logits[:, 0] += effect * noise[:, 0]
    z = rng.normal(size=(n, 32))
    if setting.twice:
        rates, label, logits, z = (np.concatenate([a, a]) for a in (rates, label, logits, z))
    names = tuple(f"word{i}" for i in range(WORDS))
    return Evidence(names, rates, label, logits, tuple(f"class{i}" for i in range(k))), z


def found(setting: Setting, effect: float, seed: int) -> set[str]:
    evidence, z = draw(setting, effect, seed)
    rows = fold(z, [str(i) for i in range(len(z))])
    evidence = Evidence(
        evidence.vocabulary, evidence.rates[rows], evidence.label[rows], evidence.logits[rows], evidence.classes
    )
    words = class_words(evidence, lambda c, words: [USED] * len(words), [frozenset()] * setting.classes, Limits())
    return {about.word for about in words if about.verdict == "harmful"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/false_discoveries.json"))
    options = parser.parse_args()
    started, rows = time.time(), []
    for setting in SETTINGS:
        honest = [found(setting, 0.0, seed) for seed in range(options.draws)]
        twin = [found(setting, EFFECT, 10_000 + seed) for seed in range(options.draws // 4)]
        rows.append(
            vars(setting)
            | {
                "any": float(np.mean([bool(words) for words in honest])),
                "found": float(np.mean(["word0" in words for words in twin])),
                "any_other": float(np.mean([bool(words - {"word0"}) for words in twin])),
            }
        )
        print(rows[-1], round(time.time() - started), flush=True)
    figures = provenance() | {
        "draws": options.draws,
        "effect": EFFECT,
        "settings": rows,
        "seconds": round(time.time() - started),
    }
    options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
