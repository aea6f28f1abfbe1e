"""Shortcuts planted in real photographs: does the audit find them, stay silent without them, and does mending help?

    python benchmarks/shortcuts.py SHARED [--sources sentences,ridge,knn] [--seeds 2] [--sentences 24]

SHARED holds flickr8k/. For each task of shortcut_tasks.py heads are trained on sets in which class and attribute agree in 50
to 95% of the images; a head whose worst group is at least ten points below that of the head without shortcut has a *harmful*
one. Audits look at held-out images that are balanced or as biased as the training set. Features and sentences are stored, so
an interrupted run goes on.

Sources of words: "sentences" are wordsight's; "ridge" and "knn" are what needs no language model (ridge regression from
features to words, captions of the 60 nearest features; both cross-fitted, so that no image's own captions are used).
"keywords" is a baseline after Bias-to-Text (Kim et al. 2024), which has a captioner's words ranked by CLIP: here they are words
of wordsight's sentences, ranked by how much more often a class's images that are predicted wrong say them than those predicted right.
Heads are mitigated with the planted word. Audits are made of balanced images, of images as biased as the training, and of balanced
ones that had no part in making the translator.
"""

import argparse
import json
import platform
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from shortcut_data import AGREEMENTS, Photographs, Split, groups, labels_of, photographs, split
from shortcut_tasks import TASKS, WORDS, Task, names
from shortcut_words import Words
from wordsight.audits.evidence import Evidence, presence_level
from wordsight.audits.findings import VERDICTS, ClassWord, Finding, Limits, findings
from wordsight.audits.kinds import class_itself
from wordsight.audits.result import word_columns
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head, with_head
from wordsight.explain import Explainer
from wordsight.features.heads import fit_head
from wordsight.mitigation.project import project
from wordsight.mitigation.reweight import balanced, groups_of, reweighing, reweight
from wordsight.runtime import tune_memory
from wordsight.storage import replacing

#: Heads that are audited: without shortcut, and with one that does harm; the others only show how harm grows.
WITHOUT, WITH = 0.5, (0.9, 0.95)
#: Naming any task's attribute where none is planted is a false alarm.
ANY = set().union(*(names(a) for task in TASKS for a in (task.x, task.y) if a))
#: What audits look at, and who says the words.
KINDS = ("balanced", "biased", "unseen")
NAMES = ("sentences", "keywords", "ridge", "knn")
#: A worst group this much below the unbiased head's is harm.
HARM = 0.1


def accuracies(head: Head | Classifier, z: torch.Tensor, rows: list[np.ndarray]) -> dict[str, float]:
    """Worst group and average over balanced groups."""
    right = [float((head.logits(z[g]).argmax(1) == i // 2).float().mean()) for i, g in enumerate(rows)]
    return {"worst": min(right), "average": float(np.mean(right))}


def ranking(found: list[Finding]) -> dict[str, list[str]]:
    """The findings' words of each class, the first first."""
    words = defaultdict(list)
    for finding in found:
        words[finding.about.label].append(finding.about.word)
    return dict(words)


def mend_with(source: Words, head: Head, word: str, rows: list[np.ndarray], explainer: Explainer) -> dict[str, Head]:
    """Heads without the shortcut, from the source's words alone."""
    here, label, _ = labels_of(rows)
    classifier = with_head(explainer.classifier, head)
    if word not in source.vocabulary:
        return {}
    rate = source.rates[here, source.vocabulary.index(word)]
    present = torch.from_numpy(rate >= presence_level(rate[:, None])[0])
    z = source.of.z[here]
    better = reweight(z, label, reweighing(torch.from_numpy(rate), label, classifier), classifier)
    hard = reweight(z, label, balanced(groups_of(label, present)), classifier)
    mitigation = {"reweight": better, "by pseudo-groups": hard}
    direction = source.direction(head, word, here, label, present)
    if direction is not None:
        mitigation["project"] = project(head.weight, head.bias, [direction], z, classifier)
        mitigation["reweight+project"] = project(better.weight, better.bias, [direction], z, classifier)
    return mitigation


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sources", default="sentences,ridge,knn")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/shortcuts.json"))
    options = parser.parse_args()
    names_of_sources = options.sources.split(",")
    explainer = Explainer()
    of = photographs(options.shared, explainer)
    trained = [t for task in TASKS for seed in range(options.seeds) for t in train_heads(task, seed, of, explainer)]
    audited = [t for t in trained if t.to_audit]
    needed = [rows for t in audited for rows in t.parts.audited() + (t.parts.train if t.to_mitigate else [])]
    sources = [Words(name, of, explainer, options.sentences, np.unique(np.concatenate(needed))) for name in names_of_sources]
    told: dict = {"machine": f"{platform.machine()}, 2 threads", "translator": explainer.models.fingerprint[:12]}
    told |= {"sentences": options.sentences, "seeds": options.seeds}
    for number, one in enumerate(audited, start=1):
        for source in sources:
            one.record.update(judged(source, one, explainer, Limits()))
        print(f"{number}/{len(audited)} {one.task.name}", one.record["agreement"], round(one.record["worst"], 2), flush=True)
        # Written as it goes: what is done so far stands if the rest is never run.
        records = [t.record for t in audited[:number]]
        told |= {
            "heads_done": [number, len(audited)],
            "tasks": len({record["task"] for record in records}),
            "summary": {name: summary(records, name) for name in NAMES if any(name in r for r in records)},
            "records": records,
            "worst_by_agreement": [[r["task"], r["seed"], r["agreement"], r["worst"]] for r in (t.record for t in trained)],
        }
        with replacing(options.out) as partial:
            partial.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told["summary"], indent=2))


@dataclass(frozen=True)
class Trained:
    """A head with a shortcut planted or not, and what is known of it."""

    task: Task
    parts: Split
    head: Head
    record: dict

    @property
    def to_audit(self) -> bool:
        """Whether it has no shortcut, or one that does harm."""
        return self.record["agreement"] == WITHOUT or (self.record["agreement"] in WITH and self.record["harmful"])

    @property
    def to_mitigate(self) -> bool:
        """Whether it is bad enough."""
        return self.record["harmful"] and self.record["agreement"] == max(WITH)


def train_heads(task: Task, seed: int, of: Photographs, explainer: Explainer) -> list[Trained]:
    """A head for each agreement; the first, without shortcut, is what the others are compared with."""
    rows, trained, honest = groups(of, task), [], None
    for agreement in AGREEMENTS:
        parts = split(rows, agreement, seed, of.seen)
        here, label, group = labels_of(parts.train)
        head = fit_head(of.z[here], label, (task.a, task.b), explainer.classifier)
        scored = accuracies(head, of.z, parts.test)
        honest = honest or scored
        record = {"task": task.name, "seed": seed, "agreement": agreement, **scored, "test": len(parts.test[0])}
        record["harmful"] = honest["worst"] - scored["worst"] >= HARM
        oracle = reweight(of.z[here], label, balanced(group), with_head(explainer.classifier, head))
        record["oracle"] = accuracies(oracle, of.z, parts.test)
        trained.append(Trained(task, parts, head, record))
    return trained


def judged(source: Words, of: Trained, explainer: Explainer, limits: Limits) -> dict[str, dict]:
    """What a source's words say about a head, and what mending by the planted word gives; for sentences the keywords, too."""
    task, head, parts = of.task, of.head, of.parts
    own, keywords = {}, {}
    for kind in KINDS:
        rows = getattr(parts, kind)
        if rows is None:
            continue
        evidence, table = source.audit(head, task, rows, limits)
        own[kind] = judged_findings(findings(evidence, table), task)
        # Few images against the shortcut can show its harm: with one or two of them silence says little.
        own[kind] |= {"images": [len(group) for group in rows], "steps": steps(table, task)}
        if source.name == "sentences":
            words, largest = ranked_keywords(evidence, task)
            # What wrong images of a class have is the other class's attribute: either may be named for either class.
            keywords[kind] = against_truth(words, dict.fromkeys((task.a, task.b), planted(task)), largest)
    word = next((w for w in sorted(names(task.x), key=lambda w: w != task.x) if w in source.vocabulary), task.x)
    mitigation = mend_with(source, head, word, parts.train, explainer) if of.to_mitigate else {}
    own["mitigation"] = {method: accuracies(better, source.of.z, parts.test) for method, better in mitigation.items()}
    return {source.name: own} | ({"keywords": keywords} if keywords else {})


def named_for(task: Task) -> dict[str, set[str]]:
    """The words that name what was planted, by the class that it goes along with."""
    return {task.a: names(task.x)} | ({task.b: names(task.y)} if task.y else {})


def planted(task: Task) -> set[str]:
    """The words that name what was planted."""
    return set().union(*named_for(task).values())


def steps(table: list[ClassWord], task: Task) -> list[dict]:
    """How far each word that names what was planted came, and on what figures."""
    named = named_for(task)
    return [
        {"label": one.label, "strength": round(one.strength, 2), **word_columns(one)}
        for one in table
        if one.word in named.get(one.label, ())
    ]


def judged_findings(found: list[Finding], task: Task) -> dict:
    """An audit's findings against what was planted; its severity is that of the findings that name it."""
    sizes = [one.severity.value for one in found if one.about.word in planted(task)]
    return against_truth(ranking(found), named_for(task), max(sizes, default=0.0))


def against_truth(found: dict[str, list[str]], named: dict[str, set[str]], severity: float) -> dict:
    """A ranking of each class's words against those that name what was planted, by class."""
    return {
        "found": {label: words[:5] for label, words in found.items()},
        "hit": any(set(found.get(label, [])[:3]) & words for label, words in named.items()),
        "alarm": any(set(words[:3]) & ANY for words in found.values()),
        "findings": sum(map(len, found.values())),
        "severity": round(severity, 4),
    }


def ranked_keywords(evidence: Evidence, task: Task) -> tuple[dict[str, list[str]], float]:
    """By class, the words that images predicted wrong say at least ten points more often; and the planted words' largest gap."""
    predicted = evidence.predicted
    # Images that are predicted the other class say its name.
    names_of_classes = set().union(*(class_itself(c) | set(WORDS[c].split()) for c in evidence.classes))
    found, largest = {}, 0.0
    for c, label in enumerate(evidence.classes):
        wrong, right = (evidence.rates[(evidence.label == c) & same] for same in (predicted != c, predicted == c))
        if min(len(wrong), len(right)) < 3:
            continue
        gap = wrong.mean(0) - right.mean(0)
        order = [i for i in np.argsort(-gap) if evidence.vocabulary[i] not in names_of_classes]
        found[label] = [evidence.vocabulary[i] for i in order if gap[i] >= 0.1]
        largest = max([largest, *(float(gap[i]) for i in order if evidence.vocabulary[i] in planted(task))])
    return found, largest


def summary(records: list[dict], source: str) -> dict:
    """Recall at 90 and 95%, false alarms at 50%, AUROC of severity, and the share of the oracle's gain that mending reaches."""
    told: dict = {}
    for kind in KINDS:
        some = [r for r in records if kind in r[source]]
        for agreement in WITH:
            hits = [r[source][kind]["hit"] for r in some if r["agreement"] == agreement]
            told[f"recall_{agreement}_{kind}"] = [sum(hits), len(hits)]
        # How far the planted words came at best, where a shortcut does harm.
        harmed = [r[source][kind]["steps"] for r in some if r["harmful"] and "steps" in r[source][kind]]
        if harmed:
            furthest = [max((VERDICTS.index(one["verdict"]) for one in own), default=1) for own in harmed]
            told[f"furthest_{kind}"] = {verdict: furthest.count(i) for i, verdict in enumerate(VERDICTS) if i}
        alarms = [r[source][kind]["alarm"] for r in some if r["agreement"] == WITHOUT]
        told[f"alarms_0.5_{kind}"] = [sum(alarms), len(alarms)]
        anything = [r[source][kind]["findings"] > 0 for r in some if r["agreement"] == WITHOUT]
        told[f"any_finding_0.5_{kind}"] = [sum(anything), len(anything)]
        truth = [r["harmful"] for r in some]
        if len(set(truth)) == 2:
            told[f"auroc_{kind}"] = round(float(roc_auc_score(truth, [r[source][kind]["severity"] for r in some])), 4)
    worst = [r for r in records if r["agreement"] == max(WITH)]
    for method in ("reweight", "by pseudo-groups", "project", "reweight+project"):
        able = [method in r[source].get("mitigation", {}) for r in worst]
        if any(able):
            # A head that cannot be mitigation stays as it is.
            after = [r[source]["mitigation"].get(method, r) for r in worst]
            gain = np.mean([a["worst"] - r["worst"] for a, r in zip(after, worst, strict=True)])
            oracle = np.mean([r["oracle"]["worst"] - r["worst"] for r in worst])
            average = np.mean([a["average"] - r["average"] for a, r in zip(after, worst, strict=True)])
            told[method] = {k: round(float(v), 4) for k, v in (("gain", gain), ("oracle", oracle), ("average", average))}
            told[method]["heads"] = [sum(able), len(able)]
    return told


if __name__ == "__main__":
    main()
