"""A small audit for the report's tests: ducks that are missed without water, and hens."""

from pathlib import Path

import numpy as np
from PIL import Image

from wordsight.audits.findings import ClassWord, Finding, Group
from wordsight.audits.result import Audit, AuditedImage
from wordsight.audits.statistics import Estimate
from wordsight.mitigation.result import Accuracies, Mitigation

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028'\"&"
SETTINGS: dict[str, object] = {
    "classifier": "head:birds and more.safetensors",
    "spec": "head:birds and more.safetensors",
    "sampling": {"sentences": 32},
    "translator_figures": {"dev_loss_nats_a_token": 2.345678},
    "limits": {"used": 0.05},
    "apart": ["bird"],
}


def about(value: float, reach: float = 0.1) -> Estimate:
    return Estimate(value, value - reach, value + reach)


def class_word(
    label: str, word: str, verdict: str, rate: float, *, used: float | None = None, missed: float = 0.0
) -> ClassWord:
    return ClassWord(
        label=label,
        word=word,
        images_with=8,
        rate=about(rate),
        lift=2 * rate - 1,
        encoded=about(0.5 + rate / 2, 0.05),
        used=None if used is None else about(used, 0.04),
        missed=about(missed, 0.19),
        mistaken=about(-0.02),
        severity=about(max(missed, -0.02), 0.19),
        strength=4.2,
        verdict=verdict,
        changes=None if used is None else 0.07,
        unseen=None if used is None else 0.31,
    )


def an_audit(folder: Path, *, duck: str = "duck", water: str = "water", name: str = "") -> Audit:
    """Sixteen ducks, of which six are predicted hens, and eight hens; images are written into the folder."""
    images = []
    for i in range(24):
        is_duck = i < 16
        wrong = is_duck and i >= 10
        path = folder / f"{i}.png"
        Image.new("RGB", (40, 30), (10 * i, 90, 160 if is_duck else 20)).save(path)
        rate = 0.9 - 0.05 * i if is_duck else 0.02
        words = {water: round(rate, 4), "grass": round(0.1 + 0.03 * i, 4), "dark": 0.2}
        label = duck if is_duck else "hen"
        images.append(AuditedImage(f"{name}{i}.png", path, label, "hen" if wrong else label, 0.75, words, f"a {label} here"))
    words = [
        class_word(duck, water, "harmful", 0.6, used=0.3, missed=0.31),
        class_word(duck, "grass", "used", 0.3, used=0.1),
        class_word(duck, "dark", "none", 0.2),
        class_word("hen", "grass", "encoded", 0.7, used=0.02),
    ]
    groups = [Group(duck, True, 10, 1.0), Group(duck, False, 6, 0.4), Group(f"not {duck}", False, 8, 1.0)]
    return Audit([duck, "hen", "ox"], images, words, [Finding(words[0], about(0.31, 0.19), groups)], {}, SETTINGS)


def heat_maps(audit: Audit) -> dict[tuple[str, str], np.ndarray]:
    """One an image, of the finding's word."""
    return {(image.image, audit.words[0].word): np.eye(7) for image in audit.images}


def a_mitigation(audit: Audit) -> Mitigation:
    groups = audit.findings[0].groups
    after = [Group(g.label, g.present, g.images, 0.8) for g in groups]
    label, word = audit.words[0].label, audit.words[0].word
    return Mitigation(
        label,
        word,
        "reweight",
        False,
        Accuracies(0.75, 0.7, 0.4, groups, about(0.3)),
        Accuracies(0.8, 0.8, 0.8, after, None),
        worst_change=Estimate(0.4, 0.1, 0.6),
        average_change=Estimate(0.05, -0.02, 0.12),
    )
