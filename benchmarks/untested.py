"""What audits with words from the word head find of planted shortcuts, as harmful and as relied on but untested. Two minutes.

    python benchmarks/untested.py SHARED [--out benchmarks/results/untested.json]

The tasks of shortcut_tasks.py, one draw; heads with a shortcut count if their worst group is at least ten points below
that of the head without. A hit: the planted word is among the first three of its class. An alarm: of a head without a
shortcut, the first three of a class name any task's attribute. "balanced": as many images of each group; "biased":
split as the training set was, so that for a head without a shortcut it is balanced, too, and larger; "unseen":
balanced, of images that had no part in making the translator.
"""

import argparse
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np

from provenance import provenance
from shortcut_data import AGREEMENTS, groups, labels_of, photographs, split
from shortcut_tasks import TASKS, WORDS, Task
from shortcuts import ANY, HARM, accuracies, named_for
from wordsight.audits.evidence import Evidence
from wordsight.audits.findings import ClassWord, Limits, class_words
from wordsight.audits.kinds import class_itself
from wordsight.audits.reliances import Reliances
from wordsight.explain import Explainer
from wordsight.features.heads import fit_head
from wordsight.storage import replacing

KINDS, VERDICTS = ("balanced", "biased", "unseen"), {"harmful": ("harmful",), "either": ("harmful", "untested")}


def first_three(table: list[ClassWord], verdicts: Collection[str]) -> dict[str, list[str]]:
    """Harmful words first, each class's by evidence times reliance."""

    def rank(word: ClassWord) -> tuple[bool, float]:
        return word.verdict != "harmful", -word.strength * (word.used.value if word.used else 0.0)

    found: dict[str, list[str]] = {}
    for word in sorted((word for word in table if word.verdict in verdicts), key=rank):
        found.setdefault(word.label, []).append(word.word)
    return {label: words[:3] for label, words in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/untested.json"))
    options = parser.parse_args()
    explainer = Explainer()
    of = photographs(options.shared, explainer)
    head_rates = explainer.models.word_rates(of.z)
    assert head_rates is not None
    all_rates, all_words = head_rates.rates.double().numpy(), np.array(head_rates.vocabulary)
    counts: dict[str, list[int]] = {}

    def audited(task: Task, rows: list[np.ndarray], weights) -> list[ClassWord]:
        here, label, _ = labels_of(rows)
        columns = np.flatnonzero((all_rates[here] >= 0.1).sum(0) >= Limits.images)
        rates = all_rates[here][:, columns]
        scores = np.log(rates.clip(1e-6, 1 - 1e-6) / (1 - rates.clip(1e-6, 1 - 1e-6)))
        logits = weights.logits(of.z[here]).double().numpy()
        evidence = Evidence(tuple(all_words[columns].tolist()), rates, label.numpy(), logits, (task.a, task.b), scores)
        apart = set(f"{WORDS[task.a]} {WORDS[task.b]}".split())
        own = [class_itself(task.a), class_itself(task.b)]
        return class_words(evidence, Reliances(evidence, of.z[here].numpy()), own, Limits(), apart=apart)

    for task in TASKS:
        rows, honest = groups(of, task), None
        for agreement in (a for a in AGREEMENTS if a in (0.5, 0.9, 0.95)):
            parts = split(rows, agreement, 0, of.seen)
            here, label, _ = labels_of(parts.train)
            weights = fit_head(of.z[here], label, (task.a, task.b), explainer.classifier)
            worst = accuracies(weights, of.z, parts.test)["worst"]
            honest = worst if honest is None else honest
            if agreement > 0.5 and honest - worst < HARM:
                continue
            for kind in KINDS:
                if (images := getattr(parts, kind)) is None:
                    continue
                table = audited(task, images, weights)
                for name, verdicts in VERDICTS.items():
                    found = first_three(table, verdicts)
                    if agreement == 0.5:
                        counted = any(set(words) & ANY for words in found.values())
                    else:
                        counted = any(set(found.get(label, ())) & words for label, words in named_for(task).items())
                    of_all = counts.setdefault(f"{kind} {agreement} {name}", [0, 0])
                    of_all[0] += counted
                    of_all[1] += 1
    with replacing(options.out) as partial:
        partial.write_text(json.dumps(provenance() | {"counts": counts}, indent=2) + "\n")
    print(json.dumps(counts, indent=2))


if __name__ == "__main__":
    main()
