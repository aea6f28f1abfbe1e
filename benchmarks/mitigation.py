"""Heads with a harmful shortcut, mitigation as a user would: every method of ``wordsight mitigate`` against knowing the groups.

    python benchmarks/mitigation.py SHARED [--seeds 1] [--sentences 24] [--methods reweight,mask,project,reweight+project]

The heads are those of benchmarks/shortcuts.py that hang on their planted attribute at 95% agreement. Each is mitigated with that
attribute's word on its own training photographs, which are as biased, and scored on its test photographs by true groups, which
nothing else sees. Writes benchmarks/results/mitigation.json as it goes.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np

from shortcut_data import Photographs, labels_of, photographs
from shortcut_tasks import TASKS
from shortcuts import Trained, train_heads
from wordsight.classifiers.head import with_head
from wordsight.errors import WordsightError
from wordsight.explain import Explainer
from wordsight.images.labelled import LabelledImages
from wordsight.mitigation.run import METHODS, Target, mitigate
from wordsight.runtime import tune_memory
from wordsight.sentences.sampling import Sampling
from wordsight.storage import replacing


def data_of(one: Trained, of: Photographs) -> LabelledImages:
    """The head's training and test photographs, with their true groups."""
    paths, labels, groups, splits = [], [], [], []
    for name, rows in (("train", one.parts.train), ("test", one.parts.test)):
        here, label, group = labels_of(rows)
        paths += [of.files[i] for i in here]
        labels += [(one.task.a, one.task.b)[int(c)] for c in label]
        groups += [one.task.x if int(g) % 2 == 0 else one.task.y or "none" for g in group]
        splits += [name] * len(here)
    return LabelledImages(paths, labels, groups, splits)


def mitigated(one: Trained, of: Photographs, explainer: Explainer, method: str, sentences: int) -> dict[str, float] | str:
    """Worst group and mean over groups after mitigation; or why it could not be done."""
    own = Explainer(
        with_head(explainer.classifier, one.head),
        lm=explainer.models.lm,
        translator=(explainer.models.translator, explainer.models.card),
    )
    target = Target(one.task.a, one.task.x)
    try:
        after = mitigate(own, data_of(one, of), target, method=method, sampling=Sampling(sentences=sentences))
    except WordsightError as error:
        return str(error)
    groups = [group.accuracy for group in after.after.groups]
    return {"worst": min(groups), "average": float(np.mean(groups)), "worst_before": after.before.worst}


def summary(records: list[dict], methods: list[str]) -> dict[str, dict]:
    """Mean gains in the worst group and on average; a head that a method cannot mitigate stays as it is."""
    told = {}
    oracle = float(np.mean([r["oracle"]["worst"] - r["worst"] for r in records]))
    for method in methods:
        after = [r["mitigation"][method] if isinstance(r["mitigation"][method], dict) else r for r in records]
        gain = float(np.mean([a["worst"] - r["worst"] for a, r in zip(after, records, strict=True)]))
        average = float(np.mean([a["average"] - r["average"] for a, r in zip(after, records, strict=True)]))
        told[method] = {"gain": round(gain, 4), "of_the_oracles": round(gain / oracle, 3) if oracle else None}
        told[method] |= {"average": round(average, 4), "heads": sum(isinstance(r["mitigation"][method], dict) for r in records)}
    return told | {"oracle": {"gain": round(oracle, 4), "heads": len(records)}}


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/mitigation.json"))
    options = parser.parse_args()
    methods = options.methods.split(",")
    if unknown := set(methods) - set(METHODS):
        parser.error(f"unknown methods: {', '.join(sorted(unknown))}; wanted some of {', '.join(METHODS)}")
    explainer = Explainer()
    of = photographs(options.shared, explainer)
    heads = [
        t for task in TASKS for seed in range(options.seeds) for t in train_heads(task, seed, of, explainer) if t.to_mitigate
    ]
    told: dict = {"machine": f"{platform.machine()}, 2 threads", "translator": explainer.models.fingerprint[:12]}
    told |= {"sentences": options.sentences, "seeds": options.seeds, "heads": len(heads)}
    records = []
    for one in heads:
        done = {method: mitigated(one, of, explainer, method, options.sentences) for method in methods}
        records.append(one.record | {"mitigation": done})
        print(f"{len(records)}/{len(heads)} {one.task.name}", round(one.record["worst"], 2), done, flush=True)
        told |= {"summary": summary(records, methods), "records": records}
        with replacing(options.out) as partial:
            partial.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told.get("summary"), indent=2))


if __name__ == "__main__":
    main()
