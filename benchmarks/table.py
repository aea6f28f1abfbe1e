"""The tables of the README and of docs/reference/results.md, from the figures in benchmarks/results/.

python benchmarks/table.py
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SETS = {"flickr8k": "Flickr8k", "coco_small": "COCO", "ade_interiors": "interiors (ADE20K)", "dtd_textures": "textures (DTD)"}
WORDS = {
    "both": "**wordsight, starter**",
    "sentences": "its sentences alone",
    "head": "its word head alone",
    "prior": "corpus prior",
    "kNN-60": "captions of the 60 nearest training features",
    "ridge": "ridge regression from features to words",
}

#: Bounds between the bins of said rates.
EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
BINS = [f"{low:.1%} and {high:.1%}" for low, high in zip((0.001, *EDGES), (*EDGES, 1.0), strict=True)]


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def words() -> str:
    """P@10 / AP@20 / MR@10 on each set."""
    sets = read("quality")["sets"]
    rows = []
    for key, name in WORDS.items():
        cells = [" / ".join(f"{sets[one][key][k]:.3f}" for k in ("P@10", "AP@20", "MR@10")) for one in SETS]
        rows.append((name, *cells))
    return table(("words from", *(f"{name} ({sets[key]['both']['images']})" for key, name in SETS.items())), rows)


def calibration() -> str:
    """Said rate against the share of people who used the word, over all four sets."""
    sets, rows = read("quality")["sets"], []
    cells: dict[str, list[str]] = {}
    for source in ("both", "sentences", "head"):
        by_bin: dict[int, list[tuple[float, float, int]]] = {}
        for of in sets.values():
            for entry in of["calibration"][source]:
                number = sum(entry["said"] >= edge for edge in EDGES)
                by_bin.setdefault(number, []).append((entry["said"], entry["people"], entry["words"]))
        for number, entries in sorted(by_bin.items()):
            total = sum(n for _, _, n in entries)
            said, people = (sum(entry[i] * entry[2] for entry in entries) / total for i in (0, 1))
            cells.setdefault(BINS[number], []).append(f"{said:.3f} / {people:.3f}")
    for name, found in cells.items():
        rows.append((name, *found))
    return table(("rate between", "both", "sentences", "head"), rows)


def false_discoveries() -> str:
    """Simulated audits."""
    rows = []
    for of in read("false_discoveries")["settings"]:
        about = f"{of['images']} images, {of['classes']} classes"
        about += ", correlated words" * of["correlated"] + ", every image twice" * of["twice"]
        rows.append((about, *("" if of[name] is None else f"{of[name]:.2f}" for name in ("any", "found", "any_other"))))
    return table(
        ("simulated audit", "any finding, honest classifier", "true shortcut found", "another word found beside it"), rows
    )


def mitigation_verdicts() -> str:
    """Verdicts on pairs of heads whose accuracies are known."""
    rows = []
    for of in read("mitigation_verdicts")["settings"]:
        if of["kind"] == "fitted":
            old, new = (f"{share:.0%}" for share in of["agree"])
            about = (f"fitted; class and word agree in {old}", f"fitted; agree in {new}", f"{of['images']} in all")
        elif of["guessed"] and not of["shared"]:
            accuracies = [", ".join(f"{100 * rate:.0f}" for rate in of[side]) for side in ("before", "after")]
            about = (*accuracies, ", ".join(str(images) for images in of["images"]))
        else:
            continue
        shares = (of["better"], of["false"], of["plainly_better"], of["bootstrap_better"])
        rows.append((*about, *(f"{share:.3f}" for share in shares)))
    head = ("groups before (%)", "groups after (%)", "images a group", "better", "better, and is not", "plain", "bootstrap")
    return table(head, rows)


def _interval(figure: list) -> str:
    """A figure, how many it is of, and its interval."""
    value, low, high = figure[:3]
    if value is None:
        return "-"
    of = f" of {figure[3]}" if len(figure) > 3 else ""
    return f"{value:.2f}{of} ({low:.2f} to {high:.2f})" if low is not None else f"{value:.2f}{of}"


def shortcuts() -> str:
    """Planted shortcuts: what audits find, by source of words, and what mitigation gains."""
    found = read("shortcuts")
    parts = []
    for kind, verdict, about in (
        ("balanced", "harmful", "Balanced audits, verdict harmful"),
        ("biased", "either", "Audits as biased as the training, verdict harmful or untested"),
        ("unseen", "either", "Balanced audits of photographs that the starter never saw, verdict harmful or untested"),
    ):
        rows = []
        for key, of in found["audits"].items():
            where, source, which = key.split(" | ")
            if (where, which) == (kind, verdict):
                names = ("recall at 0.9", "recall at 0.95", "recall at 0.95, people find it", "recall at 0.95, enough images")
                rows.append((source, *(_interval(of[name]) for name in (*names, "alarm", "no gap", "auroc"))))
        head = (
            "words",
            "found, 90%",
            "found, 95%",
            "of what people's words find",
            "of those with enough images",
            "alarms",
            "alarms, no gap",
            "AUROC",
        )
        parts.append(f"{about}:\n\n{table(head, rows)}")
    rows = []
    for key, of in found["mitigation"].items():
        source, _, method = key.partition(" | ")
        gain = _interval([*of["worst group"], *of["heads"]])
        rows.append((source, method, gain, _interval(of["of the oracle's"]), _interval(of["average"])))
    parts.append(table(("words", "method", "gain of the worst group", "share of the oracle's", "change of the average"), rows))
    return "\n\n".join(parts)


def other() -> str:
    """Everything else that is quoted."""
    quality, time = read("quality"), read("explain_time")
    flickr = quality["sets"]["flickr8k"]
    rows = [
        ("overlap (Jaccard) of the top ten words of two random images, Flickr8k", f"{quality['overlap_of_random_pairs']:.3f}"),
        ("typical sentence, Flickr8k: BLEU-4, CIDEr", f"{flickr['BLEU-4']:.3f}, {flickr['CIDEr']:.3f}"),
        (
            f"ImageNet classes without a training photograph ({quality['unseen_images']} images): a noun of the class among the "
            "top ten",
            f"{quality['breadth_unseen_classes']:.3f}",
        ),
        (
            f"`wordsight explain`, one image, {time['sentences']} sentences: cold / warm",
            f"{time['cold_seconds']} s / {time['warm_seconds']} s",
        ),
        ("the very first start (fetches and converts the weights)", f"{time['first_seconds']} s"),
        (
            "half-width of the ten first words' intervals, median: sentences / joined with the word head",
            f"{100 * time['half_width_of_sentences']:.1f} / {100 * time['half_width_joined']:.1f} points",
        ),
        ("peak memory", f"{time['peak_mib'] / 1024:.1f} GiB"),
    ]
    return table(("what", "figure"), rows)


def sources() -> str:
    """Where the figures come from."""
    return "\n".join(
        f"`benchmarks/{name}.py`: {found['date']}, commit {found['commit']}, {found['machine']}."
        for name in ("quality", "false_discoveries", "mitigation_verdicts", "shortcuts", "explain_time")
        for found in [read(name)]
    )


if __name__ == "__main__":
    print(
        "\n\n".join(part() for part in (words, calibration, false_discoveries, mitigation_verdicts, shortcuts, other, sources))
    )
