"""Shortcuts planted in real photographs: does the audit find them, stay silent without them, and does mitigation help?

    python benchmarks/shortcuts.py SHARED [--draws 3] [--sentences 24] [--out benchmarks/results/shortcuts.json]

SHARED holds flickr8k/, coco_small/ and ade_interiors/. For each task of shortcut_tasks.py and each draw, heads are trained on sets
in which class and attribute agree in 50 to 95% of the images. A shortcut is harmful if the worst group of a test set is at least
ten points below that of the head without one. Every head without a shortcut and with a harmful one at 90 and 95% is audited on
images that neither trained nor tested it:

- balanced: 25 to 60 images a group; biased: split as the training set was; unseen: balanced, of photographs that the starter's
  translator was not trained on (the dev sets; their odd lines chose between a few of its checkpoints).

Sources of words. Of all photographs, cross-fitted in three folds, so that no photograph's own captions are used: "head" (a
word head as a translator has it), "ridge" (regression from features to words), "knn" (captions of the 60 nearest features).
Of the unseen ones: the starter's own "both", "sentences" and "starter head". "people": what people wrote about each photograph,
the ceiling. "keywords": after Bias-to-Text (Kim et al. 2024), the head's words by how much more often images of a class that
are predicted wrong have them than those predicted right.

A hit: the planted word is among the first three of its class. An alarm: of a head without a shortcut, the first three of a class
name an attribute of any task of the same photographs; "no gap": of these, alarms none of whose attributes goes along with a gap
of ten points between shares of errors in the test images. "enough": of the audits in which a gap as large as the true one would
be seen with a chance of 80%. Mitigation: heads at 95%, by the planted word, against an oracle that knows the groups and is the
better of reweighting and reweighting with projection; one half of the test images decides which heads are harmful and which
oracle, the other half is measured on, and then the other way round. Intervals: 95%, bootstrap over tasks.

Records are written to runs/ as they come: an interrupted run goes on.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csc_array

from provenance import provenance
from shortcut_data import AGREEMENTS, Photographs, Split, groups, labels_of, photographs, split
from shortcut_figures import EVERYWHERE, HARM, KINDS, VERDICTS, WITH, WITHOUT, summary
from shortcut_tasks import TASKS, WORDS, Task, names
from shortcut_words import Source, ceiling, cross_fitted, shipped, word_scores
from wordsight.audits.evidence import Evidence, presence_level
from wordsight.audits.findings import SIDES, ClassWord, Limits, class_words
from wordsight.audits.kinds import class_itself
from wordsight.audits.power import smallest_gap
from wordsight.audits.reliances import Reliances
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head, with_head
from wordsight.explain import Explainer
from wordsight.features.heads import fit_head
from wordsight.mitigation.project import added_by_thing, added_by_words, project
from wordsight.mitigation.reweight import balanced, reweighing, reweight
from wordsight.runtime import tune_memory
from wordsight.storage import replacing

#: Attributes by the sets of photographs of their tasks: naming any of them where none is planted is an alarm.
ATTRIBUTES = {sets: sorted({a for t in TASKS if t.sets == sets for a in (t.x, t.y) if a}) for sets in {t.sets for t in TASKS}}
LIMITS = Limits()


def accuracies(head: Head | Classifier, z: torch.Tensor, rows: Sequence[np.ndarray]) -> list[float]:
    """The share of each of the four groups that is predicted right."""
    return [float((head.logits(z[g]).argmax(1) == i // 2).float().mean()) for i, g in enumerate(rows)]


def named_for(task: Task) -> dict[str, set[str]]:
    """The words that name what was planted, by the class that it goes along with."""
    return {task.a: names(task.x)} | ({task.b: names(task.y)} if task.y else {})


def evidence_of(source: Source, head: Head, task: Task, here: np.ndarray, label: torch.Tensor, z: torch.Tensor) -> Evidence:
    """What an audit looks at: the words that enough of these images have."""
    columns = np.flatnonzero((source.rates[here] >= 0.1).sum(0) >= LIMITS.images)
    rates = source.rates[here][:, columns]
    words = tuple(source.vocabulary[i] for i in columns)
    scores = word_scores(rates) if "head" in source.name or source.name == "both" else None
    logits = head.logits(z[here]).double().numpy()
    of_words = None if scores is None else lambda some: scores[:, some]
    return Evidence(words, csc_array(rates), label.numpy(), logits, (task.a, task.b), of_words)


def audited(
    source: Source, head: Head, task: Task, rows: Sequence[np.ndarray], z: torch.Tensor
) -> tuple[Evidence, list[ClassWord]]:
    """Every word of both classes, on these images."""
    here, label, _ = labels_of(list(rows))
    evidence = evidence_of(source, head, task, here, label, z)
    apart = set(f"{WORDS[task.a]} {WORDS[task.b]}".split())  # what a user would give as --apart
    own = [class_itself(task.a), class_itself(task.b)]
    return evidence, class_words(evidence, Reliances(evidence, z[here].numpy()), own, LIMITS, apart=apart)


def first_three(table: Sequence[ClassWord], verdicts: Collection[str]) -> dict[str, list[str]]:
    """The words of each class that have such a verdict; harmful ones first, each kind by evidence times reliance."""

    def order(word: ClassWord) -> tuple[bool, float]:
        return word.verdict != "harmful", -word.strength * (word.used.value if word.used else 0.0)

    found: dict[str, list[str]] = defaultdict(list)
    for word in sorted((word for word in table if word.verdict in verdicts), key=order):
        found[word.label].append(word.word)
    return {label: words[:3] for label, words in found.items()}


def judged(
    found: dict[str, list[str]], task: Task, gaps: dict[str, dict[str, float]]
) -> dict[str, bool | dict[str, list[str]]]:
    """The first words of each class against what was planted. ``gaps``: see ``gaps_of``."""
    hit = any(set(found.get(label, ())) & words for label, words in named_for(task).items())
    alarms = [gaps[label][a] for label, words in found.items() for a in ATTRIBUTES[task.sets] if set(words) & names(a)]
    return {"hit": hit, "alarm": bool(alarms), "no gap": bool(alarms) and max(alarms) < HARM, "found": found}


def gaps_of(head: Head, task: Task, of: Photographs, rows: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
    """For each class and attribute the larger gap between shares of errors with and without it, by what people wrote.

    Images of the class missed without it less with it, others mistaken for the class with it less without it. Kinds with fewer
    than five images count as no gap.
    """
    here, label, _ = labels_of(list(rows))
    predicted, told = head.logits(of.z[here]).argmax(1).numpy(), {}
    for c, name in enumerate((task.a, task.b)):
        own, called = label.numpy() == c, predicted == c
        told[name] = {}
        for attribute in ATTRIBUTES[task.sets]:
            has, lacks = of.has(attribute)[here], of.lacks(attribute)[here]
            missed = _difference(~called, own & lacks, own & has)
            told[name][attribute] = max(missed, _difference(called, ~own & has, ~own & lacks))
    return told


def _difference(wrong: np.ndarray, here: np.ndarray, there: np.ndarray) -> float:
    return float(wrong[here].mean() - wrong[there].mean()) if min(here.sum(), there.sum()) >= 5 else 0.0


def severity(table: Sequence[ClassWord], task: Task) -> float:
    """The largest severity of a planted word; of one that is relied on and untested, the share of calls that it changes."""
    planted = named_for(task)
    sizes = [0.0]
    for word in table:
        if word.word in planted.get(word.label, ()):
            if word.verdict == "harmful" and word.severity:
                sizes.append(word.severity.value)
            elif word.verdict == "untested":
                sizes.append(word.changes or 0.0)
    return round(max(sizes), 4)


def keywords(evidence: Evidence, task: Task) -> dict[str, list[str]]:
    """By class, the three words that images predicted wrong have most more often, by ten points at least.

    Wrong images of a class have what goes along with the other class: a word counts for either class.
    """
    apart = set().union(*(class_itself(c) | set(WORDS[c].split()) for c in evidence.classes))
    found = {}
    for c, label in enumerate(evidence.classes):
        wrong, right = (
            evidence.rates[(evidence.label == c) & same] for same in (evidence.predicted != c, evidence.predicted == c)
        )
        if min(len(wrong), len(right)) >= 3:
            gap = wrong.mean(0) - right.mean(0)
            found[label] = [
                evidence.vocabulary[i] for i in np.argsort(-gap) if gap[i] >= 0.1 and evidence.vocabulary[i] not in apart
            ][:3]
    either = [word for words in found.values() for word in words]
    return dict.fromkeys((task.a, task.b), either)


def enough(rows: Sequence[np.ndarray], right: Sequence[float], tests: int) -> bool:
    """Whether a gap as large as the test images' would be found with a chance of 80%, by a source that knows the attribute.

    ``right``: the groups' accuracies: class a with x, a with y, b with x, b with y.
    """
    many, level = [len(group) for group in rows], LIMITS.false_discovery / max(1, tests) / SIDES
    gaps = {(0, 1): right[0] - right[1], (3, 2): right[3] - right[2]}
    return any(
        gap >= smallest_gap([(many[better], many[worse])], 1 - right[better], level) for (better, worse), gap in gaps.items()
    )


def mitigated(source: Source, head: Head, task: Task, parts: Split, of: Photographs, classifier: Classifier) -> dict[str, Head]:
    """Heads without the shortcut, from the source's words alone."""
    here, label, _ = labels_of(parts.train)
    z, column = of.z[here], source.column([task.x, *sorted(names(task.x))])
    if column is None:
        return {}
    rate, own = source.rates[here, column], with_head(classifier, head)
    present = rate >= presence_level(csc_array(rate[:, None]))[0]
    if not present.any() or present.all():
        return {}
    better = reweight(z, label, reweighing(torch.from_numpy(rate), label, own), own)
    frequent = np.flatnonzero((source.rates[here] >= 0.1).sum(0) >= LIMITS.images)
    words = np.union1d(frequent, [column])
    direction = added_by_thing(z, source.rates[here][:, words], label, int(np.searchsorted(words, column)))
    return {
        "reweight": better,
        "project": project(head.weight, head.bias, [direction], z, label, own),
        "reweight+project": project(better.weight, better.bias, [direction], z, label, own),
    }


def oracles(head: Head, parts: Split, of: Photographs, classifier: Classifier) -> dict[str, Head]:
    """Heads by who knows the groups: reweighted, and with what the attribute adds to the features taken out, too."""
    here, label, group = labels_of(parts.train)
    z, own = of.z[here], with_head(classifier, head)
    better = reweight(z, label, balanced(group), own)
    known = torch.stack([label, 1 - group % 2], 1).double().numpy()
    direction = added_by_words(z, known)[1]
    return {"reweight": better, "reweight+project": project(better.weight, better.bias, [direction], z, label, own)}


@dataclass(frozen=True)
class Benchmark:
    """What every task needs."""

    of: Photographs
    z: torch.Tensor
    classifier: Classifier
    everywhere: list[Source]
    unseen: list[Source]

    def run(self, task: Task, draw: int) -> dict:
        """One task and draw: heads at every agreement, audits, mitigation."""
        rows, heads = groups(self.of, task), []
        for agreement in AGREEMENTS:
            parts = split(rows, agreement, draw, self.of.seen)
            here, label, _ = labels_of(parts.train)
            head = fit_head(self.z[here], label, (task.a, task.b), self.classifier)
            record = {"agreement": agreement, "test": accuracies(head, self.z, parts.test)}
            record["halves"] = [accuracies(head, self.z, half) for half in parts.halves()]
            honest = heads[0]["test"] if heads else record["test"]
            harmful = min(honest) - min(record["test"]) >= HARM
            record["harmful"] = harmful
            if agreement == WITHOUT or (agreement in WITH and harmful):
                record["audits"] = self.audits(task, head, parts, record["test"])
            if agreement == max(WITH):
                record["mitigation"] = self.mitigation(task, head, parts)
            heads.append(record)
        return {"task": task.name, "draw": draw, "heads": heads}

    def audits(self, task: Task, head: Head, parts: Split, right: list[float]) -> dict[str, dict]:
        told: dict[str, dict] = {}
        gaps = gaps_of(head, task, self.of, parts.test)
        for kind in KINDS:
            if (rows := getattr(parts, kind)) is None:
                continue
            told[kind] = {"images": [len(group) for group in rows]}
            for source in self.everywhere + (self.unseen if kind == "unseen" else []):
                evidence, table = audited(source, head, task, rows, self.z)
                told[kind][source.name] = {name: judged(first_three(table, v), task, gaps) for name, v in VERDICTS.items()}
                told[kind][source.name]["severity"] = severity(table, task)
                if source.name == "head":
                    told[kind]["keywords"] = {name: judged(keywords(evidence, task), task, gaps) for name in VERDICTS}
                if source.name == "people":
                    told[kind]["enough"] = enough(rows, right, 2 * len(evidence.vocabulary))
        return told

    def mitigation(self, task: Task, head: Head, parts: Split) -> dict[str, dict[str, list[list[float]]]]:
        def of_halves(heads: dict[str, Head]) -> dict[str, list[list[float]]]:
            return {method: [accuracies(new, self.z, half) for half in parts.halves()] for method, new in heads.items()}

        told = {"oracle": of_halves(oracles(head, parts, self.of, self.classifier))}
        for source in self.everywhere:
            told[source.name] = of_halves(mitigated(source, head, task, parts, self.of, self.classifier))
        return told


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--first", type=int, default=2, help="number of the first draw; what was chosen was chosen on 0 and 1")
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument("--records", type=Path, default=Path("runs/shortcuts.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/shortcuts.json"))
    options = parser.parse_args()
    explainer = Explainer()
    of = photographs(options.shared, explainer)
    attributes = {attribute for some in ATTRIBUTES.values() for attribute in some}
    everywhere = [ceiling(of, attributes) if name == "people" else cross_fitted(name, of, Path("runs")) for name in EVERYWHERE]
    unseen = list(shipped(of, explainer, options.sentences).values())
    benchmark = Benchmark(of, of.z, explainer.classifier, everywhere, unseen)
    options.records.parent.mkdir(parents=True, exist_ok=True)
    records = [json.loads(line) for line in options.records.read_text().splitlines()] if options.records.exists() else []
    done = {(record["task"], record["draw"]) for record in records}
    with options.records.open("a") as file:
        for draw in range(options.first, options.first + options.draws):
            for number, task in enumerate(TASKS, start=1):
                if (task.name, draw) not in done:
                    records.append(benchmark.run(task, draw))
                    file.write(json.dumps(records[-1]) + "\n")
                    file.flush()
                    print(f"draw {draw}, {number}/{len(TASKS)} {task.name}", flush=True)
    told = provenance() | {"translator": explainer.models.fingerprint[:12], "sentences": options.sentences}
    told |= {"draws": options.draws, "tasks": len(TASKS), **summary(records)}
    with replacing(options.out) as partial:
        partial.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
