"""How often an audit of an honest classifier has any finding, and how often it finds a true shortcut. Minutes on one core.

    python benchmarks/false_discoveries.py [--shared SHARED] [--draws 120] [--only KIND] [--out FILE]

"words": simulated audits of 300 words, 60 of them more frequent in one class; an honest classifier's margin is independent of
every word given the label. Its twin also moves with one word that half of each class's images have. Every word passes as *used*, so
that what is held here is held by the tests of errors alone. With ``names`` clear images of a class have a larger margin and more of
its 60 words; its own name is in nearly every sentence ("saturated"), or has a score that tells clear images apart ("scored").

"exchanged": real features and the word head's rates (Flickr8k, in SHARED); a head that tells dogs from persons, whose margins are
exchanged between images of one label; *used* as in any audit. The twin's margin moves with one word.

"permuted": half of the images have an attribute; labels are drawn within it, so that they say nothing of the image. A head is
trained on such labels and audited on other images with such labels. It has learned nothing, but what it goes by are directions of
real features, and words go along with these: such findings are true. False is one whose word does not go along with the margin
(rank correlation 0 or less) on further images, half of which have the attribute. Half of the findings that are chance would show.

"any": share of draws with any false finding (for the twin: with one of another word). "found": share of the twin's draws with a
finding of the planted word. "severity" and "true": of these findings, as reported and as it is (means); "raw": before it is shrunk.
"untested": share of draws with any word that is relied on and untested.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csc_array
from scipy.stats import spearmanr

from provenance import provenance
from shortcut_data import Photographs, photographs
from shortcut_tasks import TASKS
from shortcut_tasks import WORDS as WORDS_OF
from wordsight.audits.duplicates import fold
from wordsight.audits.evidence import Evidence, ScoresOf
from wordsight.audits.findings import ClassWord, Limits, UsedOf, class_words
from wordsight.audits.kinds import class_itself
from wordsight.audits.reliances import Reliances, Use
from wordsight.audits.severity import gaps, worse_gap
from wordsight.audits.statistics import Estimate
from wordsight.explain import Explainer
from wordsight.features.heads import fit_head
from wordsight.storage import replacing

WORDS, ENRICHED = 300, 60
USED = Use(Estimate(0.5, 0.4, 0.6), changes=0.0)
#: How far the twin's margin moves with a standard deviation of the planted word; the noise has 1.
EFFECT, WEAK = 0.7, 0.4
#: The same where hardly any image is predicted wrong.
LARGE = 1.5
#: Images that train a head on labels that say nothing.
_TRAINING = 200


@dataclass(frozen=True)
class Setting:
    """One kind of audit: so many images and classes; words that go along with each other; every image twice; see the top."""

    images: int
    classes: int = 2
    kind: str = "words"
    correlated: bool = False
    twice: bool = False
    names: str | None = None
    effect: float = EFFECT


SETTINGS = (
    Setting(150),
    Setting(400),
    Setting(1000),
    Setting(400, classes=10),
    Setting(1000, classes=10),
    Setting(400, correlated=True),
    Setting(400, twice=True),
    Setting(400, effect=WEAK),
    Setting(400, names="saturated"),
    Setting(400, names="scored"),
    *(Setting(images, kind="permuted") for images in (150, 400, 1000)),
    *(Setting(images, kind="exchanged", effect=LARGE) for images in (150, 400, 1000)),
)


@dataclass(frozen=True)
class Drawn:
    """An audit's evidence, its class's own words, how words are used, the planted word, and which findings of others are false."""

    evidence: Evidence
    own: list[frozenset[str]]
    used: UsedOf
    planted: str
    false: Callable[[ClassWord], bool] = lambda about: True

    def words(self) -> list[ClassWord]:
        return class_words(self.evidence, self.used, self.own, Limits())


def _of_words(scores: np.ndarray | None, rows: np.ndarray | slice = slice(None)) -> ScoresOf | None:
    return None if scores is None else lambda words: scores[rows][:, words]


def simulated(setting: Setting, effect: float, seed: int) -> Drawn:
    """Evidence of a classifier whose margin moves by ``effect`` standard deviations with word 0."""
    rng = np.random.default_rng(seed)
    n, k = setting.images, setting.classes
    label = np.arange(n) % k
    noise = rng.normal(size=(n, WORDS))
    if setting.correlated:
        noise = 0.6 * noise + 0.8 * rng.normal(size=(n, 20)).repeat(WORDS // 20, axis=1)
    home = rng.integers(k, size=WORDS)
    clear = rng.normal(size=n) if setting.names else np.zeros(n)
    lean = np.where(np.arange(WORDS) < ENRICHED, 1.2, 0.0) * (label[:, None] == home) * (1 + clear[:, None])
    lean[:, 0] = 0  # the planted word says nothing of the label
    log_odds = noise + lean - 1.5
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), label] += 1.5 + 1.5 * clear
    logits[:, 0] += effect * noise[:, 0]
    z = rng.normal(size=(n, 32))
    names = tuple(f"word{i}" for i in range(WORDS))
    own, scores = [frozenset[str]()] * k, None
    if setting.names:
        named = np.where(label[:, None] == np.arange(k), 5 + clear[:, None] + 0.2 * rng.normal(size=(n, k)), -3.0)
        log_odds = np.concatenate([log_odds, named], 1)
        names += tuple(f"name{i}" for i in range(k))
        own = [frozenset({f"name{i}"}) for i in range(k)]
        scores = log_odds if setting.names == "scored" else None
    rates = 1 / (1 + np.exp(-log_odds))
    if setting.names == "saturated":
        rates = np.round(24 * rates) / 24  # as of 24 sentences
    if setting.twice:
        rates, label, logits, z = (np.concatenate([a, a]) for a in (rates, label, logits, z))
    rows = fold(z, [str(i) for i in range(len(z))])
    classes = tuple(f"class{i}" for i in range(k))
    evidence = Evidence(names, csc_array(rates[rows]), label[rows], logits[rows], classes, _of_words(scores, rows))
    return Drawn(evidence, own, lambda c, words: [USED] * len(words), "word0")


@cache
def real(shared: Path) -> tuple[Explainer, Photographs, np.ndarray, np.ndarray]:
    """The photographs with features, the word head's vocabulary and rates."""
    explainer = Explainer()
    of = photographs(shared, explainer)
    head = explainer.models.word_rates(of.z)
    assert head is not None
    return explainer, of, np.array(head.vocabulary), head.rates.double().numpy()


@cache
def common(shared: Path) -> list[str]:
    """The attributes that enough photographs have for the largest audit and its training."""
    of = real(shared)[1]
    return [name for name in sorted({task.x for task in TASKS}) if of.has(name).sum() >= 1000 + _TRAINING // 2]


def photographed(setting: Setting, effect: float, seed: int, shared: Path) -> Drawn:
    """Evidence of real photographs; the margin of the first class moves by ``effect`` with one of their words."""
    explainer, of, vocabulary, rates = real(shared)
    rng = np.random.default_rng(seed)
    n = setting.images
    if setting.kind == "permuted":
        attributes = common(shared)
        attribute = attributes[seed % len(attributes)]
        sides = [rng.permutation(np.flatnonzero(side)) for side in (of.has(attribute), of.lacks(attribute))]
        here = np.concatenate([side[: n // 2] for side in sides])
        label = np.concatenate([rng.permutation(np.arange(len(side[: n // 2])) % 2) for side in sides])
        train = np.concatenate([side[n // 2 : n // 2 + _TRAINING // 2] for side in sides])
        given = torch.from_numpy(rng.permutation(np.arange(len(train)) % 2))
        head = fit_head(of.z[train], given, ("a", "b"), explainer.classifier)
        logits = head.logits(of.z[here]).double().numpy()
        further = min(len(side) for side in sides) - n // 2 - _TRAINING // 2
        rest = np.concatenate([side[-further:] for side in sides])
        elsewhere = head.logits(of.z[rest]).double().numpy()

        def false(about: ClassWord) -> bool:
            sign = 1 if about.label == "a" else -1
            word = rates[rest, int(np.flatnonzero(vocabulary == about.word)[0])]
            found: Any = spearmanr(sign * (elsewhere[:, 0] - elsewhere[:, 1]), word)
            return bool(found.statistic <= 0)

    else:
        sides = [rng.permutation(np.flatnonzero(of.of_class(name))) for name in ("dog", "person")]
        here, label = np.concatenate([side[: n // 2] for side in sides]), np.arange(2).repeat(n // 2)
        train = np.concatenate([side[n // 2 : n // 2 + _TRAINING // 2] for side in sides])
        given = torch.arange(2).repeat_interleave(_TRAINING // 2)
        logits = fit_head(of.z[train], given, ("a", "b"), explainer.classifier).logits(of.z[here]).double().numpy()
        for c in (0, 1):
            rows = np.flatnonzero(label == c)
            logits[rows] = logits[rng.permutation(rows)]

        def false(about: ClassWord) -> bool:
            return True

    own_rates = rates[here]
    columns = np.flatnonzero((own_rates >= 0.1).sum(0) >= 5)
    scores = np.log(own_rates / (1 - own_rates).clip(1e-6)).clip(-14, 14)[:, columns]
    own = (
        [class_itself(name) | set(WORDS_OF[name].split()) for name in ("dog", "person")] if setting.kind == "exchanged" else []
    )
    shares = (own_rates[:, columns] >= 0.1).mean(0)
    usual = [i for i in np.flatnonzero(np.abs(shares - 0.4) < 0.2) if not any(vocabulary[columns[i]] in words for words in own)]
    planted = int(rng.choice(usual))
    moved = scores[:, planted] - scores[:, planted].mean()
    margin = logits[:, 0] - logits[:, 1]
    spread = np.concatenate([margin[label == c] - margin[label == c].mean() for c in (0, 1)]).std()
    logits[:, 0] += effect * spread * moved / moved.std()
    evidence = Evidence(
        tuple(vocabulary[columns].tolist()), csc_array(own_rates[:, columns]), label, logits, ("a", "b"), _of_words(scores)
    )
    return Drawn(
        evidence, own or [frozenset()] * 2, Reliances(evidence, of.z[here].numpy()), str(vocabulary[columns[planted]]), false
    )


def draw(setting: Setting, effect: float, seed: int, shared: Path | None) -> Drawn:
    if setting.kind == "words":
        return simulated(setting, effect, seed)
    assert shared is not None
    return photographed(setting, effect, seed, shared)


def true_severity(setting: Setting) -> float:
    """The larger gap of the planted word in an audit of very many images."""
    evidence = simulated(replace(setting, images=20_000, twice=False), setting.effect, 99).evidence
    gap = worse_gap(gaps(evidence.has(0), evidence.predicted == 0, evidence.label, 0))
    assert gap is not None
    return gap.value


def measured(setting: Setting, draws: int, shared: Path | None) -> dict[str, object]:
    any_false, untested = [], []
    for seed in range(draws):
        honest = draw(setting, 0.0, seed, shared)
        words = honest.words()
        any_false.append(any(about.verdict == "harmful" and honest.false(about) for about in words))
        untested.append(any(about.verdict == "untested" for about in words))
    twins = [draw(setting, setting.effect, 10_000 + seed, shared) for seed in range(draws // 3)]
    findings = [{about.word: about for about in twin.words() if about.verdict == "harmful"} for twin in twins]
    planted = [words[twin.planted] for twin, words in zip(twins, findings, strict=True) if twin.planted in words]
    others = [
        any(word != twin.planted and twin.false(about) for word, about in words.items())
        for twin, words in zip(twins, findings, strict=True)
    ]
    raw = [max(gap.value for gap in (about.missed, about.mistaken) if gap) for about in planted]
    return vars(setting) | {
        "any": float(np.mean(any_false)),
        "untested": float(np.mean(untested)),
        "found": len(planted) / len(twins),
        "any_other": None if setting.kind == "permuted" else float(np.mean(others)),  # the twin is not on other images
        "severity": float(np.mean([about.severity.value for about in planted if about.severity])) if planted else None,
        "raw": float(np.mean(raw)) if planted else None,
        "true": true_severity(setting) if setting.kind == "words" and not setting.names else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, help="the folder with flickr8k/; without it, only what is simulated")
    parser.add_argument("--draws", type=int, default=120)
    parser.add_argument("--only", help="only settings of this kind; others stay in the file as they are")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/false_discoveries.json"))
    options = parser.parse_args()
    started = time.time()
    kinds = ("words", "permuted", "exchanged") if options.shared else ("words",)
    figures: dict[str, Any] = json.loads(options.out.read_text()) if options.only and options.out.exists() else {"settings": []}
    rows = [row for row in figures["settings"] if row.get("kind") not in (options.only,)] if options.only else []
    for setting in SETTINGS:
        if setting.kind in kinds and options.only in (None, setting.kind):
            rows.append(measured(setting, options.draws, options.shared))
            print(rows[-1], round(time.time() - started), flush=True)
    seconds = round(time.time() - started) + (figures.get("seconds", 0) if options.only else 0)
    told = provenance() | {"draws": options.draws, "settings": rows, "seconds": seconds}
    with replacing(options.out) as partial:
        partial.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
