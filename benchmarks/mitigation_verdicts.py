"""How often a mitigation's verdict is "better": for heads of equal merit, where it must not be, and for better ones.

    python benchmarks/mitigation_verdicts.py [--draws 2000] [--out benchmarks/results/mitigation_verdicts.json]

Two heads are right on each image of four groups with the accuracies below; their answers go together as far as ``shared`` says
(0: independent heads, as two trainings with other seeds at worst). The plain comparison of the two worst groups stands beside it.
Half a minute on one core.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from provenance import provenance
from wordsight.mitigation.paired import Change, worst_change

EQUAL = ((0.6, 0.9, 0.9, 0.95), (0.8, 0.8, 0.8, 0.8))
BETTER = (((0.5, 0.9, 0.9, 0.95), (0.8, 0.88, 0.9, 0.93)), ((0.6, 0.9, 0.9, 0.95), (0.75, 0.88, 0.88, 0.93)))


def change(draw: np.random.Generator, rates: tuple, group: np.ndarray, shared: float) -> Change:
    """From one head to the other; a share of the images has the same luck with both."""
    luck = draw.random((2, len(group)))
    luck[1] = np.where(draw.random(len(group)) < shared, luck[0], luck[1])
    before, after = (luck[head] < np.asarray(of)[group] for head, of in enumerate(rates))
    return worst_change(before, after, group)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/mitigation_verdicts.json"))
    options = parser.parse_args()
    settings = []
    for before, after in (*((rates, rates) for rates in EQUAL), *BETTER):
        for images in (12, 40, 150):
            for shared in (0.0, 0.7):
                draw, group = np.random.default_rng(len(settings)), np.repeat(np.arange(4), images)
                found = [change(draw, (before, after), group, shared) for _ in range(options.draws)]
                true = min(after) - min(before)
                settings.append(
                    {
                        "before": before,
                        "after": after,
                        "images_a_group": images,
                        "shared": shared,
                        "better": round(float(np.mean([c.low > 0 for c in found])), 4),
                        "worse": round(float(np.mean([c.high < 0 for c in found])), 4),
                        "plainly_better": round(float(np.mean([c.value > 0 for c in found])), 4),
                        "coverage": round(float(np.mean([c.low <= true <= c.high for c in found])), 4),
                    }
                )
                print(json.dumps(settings[-1]), flush=True)
    options.out.write_text(json.dumps(provenance() | {"draws": options.draws, "settings": settings}, indent=2) + "\n")


if __name__ == "__main__":
    main()
