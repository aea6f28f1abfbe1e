"""The starter audited on Imagenette: the figures and pictures of docs/study.md.

    python benchmarks/study.py SHARED [--images 100]

SHARED holds imagenette/, a folder a class. The starter's translator was trained on photographs of nine of the ten classes with
nothing but the classes' names as captions; of the tenth, the tench, it never saw one. Writes benchmarks/results/study.json and
docs/study-*.png, which show numbers only.
"""

import argparse
import json
import platform
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from starter_data import held_out_class
from wordsight.audits.findings import ClassWord
from wordsight.audits.result import Audit
from wordsight.audits.statistics import Estimate
from wordsight.classifiers.imagenet import imagenet_classes
from wordsight.explain import Explainer
from wordsight.images.labelled import read_labelled

#: A rate from which a word is counted as said of a photograph.
SAID = 0.1


def rounded(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else [round(v, 3) for v in (estimate.value, estimate.low, estimate.high)]


def row(word: ClassWord) -> dict[str, object]:
    """A word's figures, each with its interval."""
    names = ("rate", "encoded", "used", "missed", "mistaken")
    told: dict[str, object] = {"word": word.word, "verdict": word.verdict, "images_with": word.images_with}
    return told | {"lift": round(word.lift, 2)} | {name: rounded(getattr(word, name)) for name in names}


def by_class(audit: Audit) -> list[dict[str, object]]:
    """What is said of each class's photographs."""
    held_out = {c.name for i, c in enumerate(imagenet_classes()) if held_out_class(i)}
    told = []
    for label in sorted({image.label for image in audit.images}):
        images = [image for image in audit.images if image.label == label]
        words = sorted((w for w in audit.words if w.label == label), key=lambda w: -w.rate.value)
        told.append(
            {
                "label": label,
                "photographs_in_training": label not in held_out,
                "images": len(images),
                "predicted": Counter(image.predicted for image in images).most_common(3),
                "right": round(float(np.mean([image.right for image in images])), 3),
                "words_said": round(float(np.mean([sum(r >= SAID for r in image.words.values()) for image in images])), 2),
                "class_words": [row(w) for w in words if w.verdict == "class"],
                "words": [row(w) for w in words if w.verdict != "class" and w.rate.value >= 0.005],
            }
        )
    return told


def plot_words_said(classes: list[dict], file: Path) -> None:
    """How many words are said of a photograph, by class."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(classes, key=lambda c: c["words_said"])
    colours = ["#9ecae1" if c["photographs_in_training"] else "#08519c" for c in ordered]
    axes.barh([c["label"] for c in ordered], [c["words_said"] for c in ordered], color=colours)
    axes.set_xlabel("words said of a photograph (rate 10% or more), mean\ndark: the translator saw no photograph of it")
    figure.savefig(file, dpi=110)


def plot_used(found: dict, file: Path) -> None:
    """A class's words: how well they tell it apart, and how much its score uses them."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for words, colour in ((found["words"], "#08519c"), (found["class_words"], "#b84a00")):
        for one in words:
            if one["used"] is None or one["used"][2] - one["used"][1] > 0.3 or one["encoded"][0] < 0.5:
                continue  # hardly any gradient, or a word that speaks against the class
            value, low, high = one["used"]
            axes.errorbar(one["encoded"][0], value, yerr=[[value - low], [high - value]], fmt="o", color=colour, capsize=2)
            if one["verdict"] in ("class", "used") or one["encoded"][0] >= 0.66:  # those to the left lie on one another
                axes.annotate(one["word"], (one["encoded"][0], value), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="encoded: chance that an image predicted this says the word more", ylabel="used: mean cosine, 95% interval")
    axes.set_title(f"{found['label']}; orange: the class itself")
    figure.savefig(file, dpi=110)


def plot_missed(found: dict, file: Path) -> None:
    """A class's words: is it missed more often where they are not said?"""
    words = [w for w in found["words"] if w["missed"] is not None and w["encoded"][0] >= 0.5]
    figure = Figure(figsize=(7, 0.32 * len(words) + 1), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(sorted(words, key=lambda w: w["missed"][0])):
        value, low, high = one["missed"]
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", color="#08519c", capsize=2)
        axes.annotate(f"{one['word']} ({one['images_with']})", (-0.99, place), va="center", fontsize=8)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set(xlim=(-1, 1), yticks=[], xlabel=f"{found['label']}: missed without the word less missed with it, 95% interval")
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--images", type=int, default=100, help="of each class")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/study.json"))
    options = parser.parse_args()
    images = read_labelled(options.shared / "imagenette")
    rows = [
        i for label in sorted(set(images.labels)) for i in np.flatnonzero(np.array(images.labels) == label)[: options.images]
    ]
    explainer = Explainer()
    audit = audit(explainer, images.take(rows))
    classes = by_class(audit)
    told = {
        "machine": f"{platform.machine()}, 2 threads",
        "translator": explainer.fingerprint[:12],
        "images": len(audit.images),
        "accuracy": round(audit.accuracy, 3),
        "findings": [row(finding.about) for finding in audit.findings],
        "focus": [[place.label, rounded(place.agreement), place.remarkable] for place in audit.focus],
        "explained": [[one.label, rounded(one.share), one.remarkable] for one in audit.explained],
        "settings": audit.settings,
        "classes": classes,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    (unseen,) = [c for c in classes if not c["photographs_in_training"]]
    plot_words_said(classes, Path("docs/study-words.png"))
    plot_used(unseen, Path("docs/study-used.png"))
    plot_missed(unseen, Path("docs/study-missed.png"))


if __name__ == "__main__":
    main()
