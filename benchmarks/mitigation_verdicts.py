"""How often a mitigation's verdict is "better": for heads of equal merit, where it must not be, and for better ones.

    python benchmarks/mitigation_verdicts.py [--draws 1000] [--out benchmarks/results/mitigation_verdicts.json]

Idealised heads are right on each image of four groups with the accuracies below; their answers go together as far as ``shared`` says
(0: independent heads). Fitted heads are two logistic regressions on independent training sets in which class and word agree in
``agree`` of the images; what is true of them is measured on 40,000 other images. Two other verdicts stand beside the real one and must
fail: "plain" (the worst group is higher) on all heads of equal merit, "bootstrap" (the 95% percentile interval of the paired change of
the worst group, images drawn again within groups, lies above 0) where the worst before is unclear. "guessed": with the group that is
the worst before given as the suspect, as other images give it. About three minutes on one core.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from provenance import provenance
from wordsight.mitigation.paired import likely_worst, worst_change

EQUAL = (
    ((0.6, 0.9, 0.9, 0.95), (0.6, 0.9, 0.9, 0.95)),
    ((0.8, 0.8, 0.8, 0.8), (0.8, 0.8, 0.8, 0.8)),
    ((0.8, 0.8, 0.8, 0.8), (0.8, 0.98, 0.98, 0.98)),  # the worst group before is hard to tell, after it is clear
)
BETTER = (((0.5, 0.9, 0.9, 0.95), (0.8, 0.88, 0.9, 0.93)), ((0.6, 0.9, 0.9, 0.95), (0.75, 0.88, 0.88, 0.93)))
SIZES = ((12, 12, 12, 12), (40, 40, 40, 40), (150, 150, 150, 150), (20, 200, 200, 60))
RESAMPLED = 200


def answers(draw: np.random.Generator, rates: tuple, group: np.ndarray, shared: float) -> list[np.ndarray]:
    """Which images each of two heads gets right; a share of the images has the same luck with both."""
    luck = draw.random((2, len(group)))
    luck[1] = np.where(draw.random(len(group)) < shared, luck[0], luck[1])
    return [luck[head] < np.asarray(of)[group] for head, of in enumerate(rates)]


def bootstrapped(draw: np.random.Generator, before: np.ndarray, after: np.ndarray, group: np.ndarray) -> bool:
    """Whether the bootstrap's interval of the change of the plain worst groups lies above 0."""
    accuracies = []
    for rows in (np.flatnonzero(group == g) for g in np.unique(group)):
        drawn = draw.choice(rows, (RESAMPLED, len(rows)))
        accuracies.append((before[drawn].mean(1), after[drawn].mean(1)))
    old, new = np.array(accuracies).transpose(1, 2, 0)
    return bool(np.quantile(new.min(1) - old.min(1), 0.025) > 0)


def row(found: list, plain: list, boot: list, true: list, about: dict) -> dict:
    """The shares of the verdicts; "false": called better though the worst group is truly no better."""
    true_change = np.array(true)
    better = np.array([change.low > 0 for change in found])
    return about | {
        "better": round(float(better.mean()), 4),
        "false": round(float((better & (true_change <= 0)).mean()), 4),
        "worse": round(float(np.mean([change.high < 0 for change in found])), 4),
        "plainly_better": round(float(np.mean(plain)), 4),
        "bootstrap_better": round(float(np.mean(boot)), 4),
        "coverage": round(float(np.mean([c.low <= t <= c.high for c, t in zip(found, true, strict=True)])), 4),
    }


def idealised(rates: tuple, sizes: tuple, shared: float, guessed: bool, draws: int, seed: int) -> dict:
    draw, group = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes)
    found, plain, boot = [], [], []
    suspect = int(np.argmin(rates[0])) if guessed else None
    for _ in range(draws):
        before, after = answers(draw, rates, group, shared)
        found.append(worst_change(before, after, group, suspect=suspect))
        plain.append(found[-1].value > 0)
        boot.append(bootstrapped(draw, before, after, group))
    true = [min(rates[1]) - min(rates[0])] * draws
    about = {"kind": "idealised", "before": rates[0], "after": rates[1], "images": sizes, "shared": shared, "guessed": guessed}
    return row(found, plain, boot, true, about)


def images(draw: np.random.Generator, number: int, agree: float) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Features, labels and groups (2 label + word): two features hold class and word, ten hold nothing."""
    label = np.arange(number) % 2
    word = np.where(draw.random(number) < agree, label, 1 - label)
    z = draw.normal(size=(number, 12))
    z[:, 0] += 1.2 * (2 * label - 1)
    z[:, 1] += 2.0 * (2 * word - 1)
    return torch.from_numpy(z).float(), torch.from_numpy(label), 2 * label + word


def fitted(agree: tuple[float, float], measured: int, draws: int, seed: int) -> dict:
    """Heads of training sets that agree so before and after, on ``measured`` images of which 90% agree."""
    from sklearn.linear_model import LogisticRegression

    draw, found, plain, boot, true = np.random.default_rng(seed), [], [], [], []
    fresh, fresh_label, fresh_group = images(draw, 40_000, 0.5)
    for _ in range(draws):
        z, label, group = images(draw, measured, 0.9)
        training = [images(draw, 300, share) for share in agree]
        heads = [LogisticRegression().fit(x.numpy(), y.numpy()) for x, y, _ in training]
        before, after = (head.predict(z.numpy()) == label.numpy() for head in heads)
        x, y, own = training[0]
        suspect = likely_worst(heads[0].predict(x.numpy()) == y.numpy(), own, set(group.tolist()))
        worst = []
        for head in heads:
            right = head.predict(fresh.numpy()) == fresh_label.numpy()
            worst.append(min(right[fresh_group == g].mean() for g in range(4)))
        found.append(worst_change(before, after, group, suspect=suspect))
        plain.append(found[-1].value > 0)
        boot.append(bootstrapped(draw, before, after, group))
        true.append(worst[1] - worst[0])
    return row(found, plain, boot, true, {"kind": "fitted", "agree": agree, "images": measured, "guessed": True})


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/mitigation_verdicts.json"))
    options = parser.parse_args()
    started, settings = time.time(), []
    for rates in (*EQUAL, *BETTER):
        for sizes in SIZES:
            for shared, guessed in ((0.0, False), (0.0, True), (0.7, True)):
                settings.append(idealised(rates, sizes, shared, guessed, options.draws, len(settings)))
                print(json.dumps(settings[-1]), flush=True)
    for agree in ((0.9, 0.9), (0.9, 0.5)):
        for measured in (300, 1000):
            settings.append(fitted(agree, measured, options.draws // 4, len(settings)))
            print(json.dumps(settings[-1]), flush=True)
    figures = provenance() | {"draws": options.draws, "seconds": round(time.time() - started), "settings": settings}
    options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
