"""The records of benchmarks/shortcuts.py -> recall, alarms, AUROC and what mitigation gains, with intervals over tasks."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

#: Heads that are audited: without shortcut, and with one that does harm.
WITHOUT, WITH = 0.5, (0.9, 0.95)
#: A worst group this much below that of the head without a shortcut is harm.
HARM = 0.1
KINDS = ("balanced", "biased", "unseen")
EVERYWHERE, UNSEEN_ONLY = ("head", "ridge", "knn", "people"), ("both", "sentences", "starter head")
METHODS = ("reweight", "project", "reweight+project")
VERDICTS = {"harmful": ("harmful",), "either": ("harmful", "untested")}


def with_interval(records: Sequence[dict], figure: Callable[[Sequence[dict]], float | None]) -> list[float | None]:
    """A figure with its 95% interval: bootstrap over tasks."""
    by_task: dict[str, list[dict]] = defaultdict(list)
    for record in records:
        by_task[record["task"]].append(record)
    tasks, random, drawn = sorted(by_task), np.random.default_rng(0), []
    for _ in range(300):
        some = figure([record for i in random.integers(0, len(tasks), len(tasks)) for record in by_task[tasks[i]]])
        if some is not None:
            drawn.append(some)
    value = figure(records)
    return [
        None if x is None else round(float(x), 3)
        for x in (value, *(np.quantile(drawn, (0.025, 0.975)) if drawn else (None, None)))
    ]


def audit_figures(records: Sequence[dict], kind: str, name: str, verdict: str) -> dict[str, list]:
    """Recall, alarms and AUROC of a source's audits of one kind, with intervals over tasks and counts."""

    def heads(some: Sequence[dict], agreements: Collection[float]) -> list[dict]:
        of_kind = [
            h["audits"][kind] for r in some for h in r["heads"] if h["agreement"] in agreements and kind in h.get("audits", {})
        ]
        return [a for a in of_kind if name in a]

    def share(some: Sequence[dict], agreements: Collection[float], what: str, among: Callable[[dict], bool]) -> float | None:
        values = [a[name][verdict][what] for a in heads(some, agreements) if among(a)]
        return float(np.mean(values)) if values else None

    def auroc(some: Sequence[dict]) -> float | None:
        without, harmful = heads(some, (WITHOUT,)), heads(some, WITH)
        if not without or not harmful or "severity" not in harmful[0][name]:
            return None
        return float(roc_auc_score([0] * len(without) + [1] * len(harmful), [a[name]["severity"] for a in without + harmful]))

    among: dict[str, Callable[[dict], bool]] = {
        "": lambda _: True,
        ", people find it": lambda a: a["people"][verdict]["hit"],
        ", enough images": lambda a: a["enough"],
    }
    told: dict[str, list] = {}
    for agreement in WITH:
        for which, chosen in among.items():
            told[f"recall at {agreement}{which}"] = [
                *with_interval(records, lambda some, a=agreement, c=chosen: share(some, (a,), "hit", c)),
                sum(chosen(a) for a in heads(records, (agreement,))),
            ]
    for what in ("alarm", "no gap"):
        counted = with_interval(records, lambda some, w=what: share(some, (WITHOUT,), w, among[""]))
        told[what] = [*counted, len(heads(records, (WITHOUT,)))]
    told["auroc"] = with_interval(records, auroc)
    return told


def mitigation_figures(records: Sequence[dict], source: str, method: str) -> dict[str, list]:
    """The gain of the worst group and of the average, and the share of the oracle's gain, on the half that chose nothing."""

    def gains(some: Sequence[dict]) -> list[tuple[float, float, float]]:
        found = []
        for record in some:
            honest, head = record["heads"][0], record["heads"][-1]
            for decide, half in ((0, 1), (1, 0)):
                if min(honest["halves"][decide]) - min(head["halves"][decide]) < HARM:
                    continue
                before, told = head["halves"][half], head["mitigation"]
                oracle = max(told["oracle"].values(), key=lambda after: min(after[decide]))[half]
                # A head that a source cannot mitigate stays as it is.
                after = oracle if source == "oracle" else told[source].get(method, head["halves"])[half]
                found.append((min(after) - min(before), min(oracle) - min(before), float(np.mean(after) - np.mean(before))))
        return found

    def mean(some: Sequence[dict], of: Callable[[np.ndarray], float]) -> float | None:
        found = gains(some)
        return of(np.array(found).mean(0)) if found else None

    return {
        "worst group": with_interval(records, lambda some: mean(some, lambda g: g[0])),
        "of the oracle's": with_interval(records, lambda some: mean(some, lambda g: g[0] / g[1])),
        "average": with_interval(records, lambda some: mean(some, lambda g: g[2])),
        "heads": [len(gains(records))],
    }


def summary(records: Sequence[dict]) -> dict[str, dict]:
    """Every figure of every source."""
    told: dict[str, dict] = {"audits": {}, "mitigation": {}}
    for kind in KINDS:
        for name in (*EVERYWHERE, "keywords", *(UNSEEN_ONLY if kind == "unseen" else ())):
            for verdict in VERDICTS:
                told["audits"][f"{kind} | {name} | {verdict}"] = audit_figures(records, kind, name, verdict)
    told["mitigation"]["oracle"] = mitigation_figures(records, "oracle", "")
    for name in EVERYWHERE:
        for method in METHODS:
            told["mitigation"][f"{name} | {method}"] = mitigation_figures(records, name, method)
    return told
