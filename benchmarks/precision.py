"""Does bfloat16 change the words? Rates in bfloat16 against float32, beside what sampling alone changes.

    python benchmarks/precision.py [--sentences 400] [--out benchmarks/results/precision.json]

For the photographs that scikit-image ships: the root mean square difference of word rates between the precisions with the
same draws and with other draws, beside that of two bfloat16 runs with other draws (sampling error alone).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

from wordsight.explain import Explainer
from wordsight.language.starter import starter_language_model


def difference(a: dict[str, float], b: dict[str, float]) -> float:
    """Root mean square difference over the words that either says in at least 2% of its sentences."""
    words = [w for w in a.keys() | b.keys() if max(a.get(w, 0), b.get(w, 0)) >= 0.02]
    return float(np.sqrt(np.mean([(a.get(w, 0) - b.get(w, 0)) ** 2 for w in words])))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sentences", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/precision.json"))
    options = parser.parse_args()
    pictures = [Image.fromarray(d()) for d in (data.chelsea, data.coffee, data.rocket, data.astronaut)]
    explainer = Explainer()
    found = {}
    for name, dtype, seed in (("bf16", torch.bfloat16, 0), ("f32", torch.float32, 0), ("bf16 again", torch.bfloat16, 1)):
        explainer.lm = starter_language_model(dtype=dtype)
        found[name] = [e.words for e in explainer.explain(pictures, Sampling(sentences=options.sentences, seed=seed))]
    figures = {
        "sentences": options.sentences,
        "bf16_against_f32_same_seed": float(
            np.mean([difference(a, b) for a, b in zip(found["bf16"], found["f32"], strict=True)])
        ),
        "bf16_against_f32_other_seed": float(
            np.mean([difference(a, b) for a, b in zip(found["bf16 again"], found["f32"], strict=True)])
        ),
        "bf16_against_bf16_other_seed": float(
            np.mean([difference(a, b) for a, b in zip(found["bf16"], found["bf16 again"], strict=True)])
        ),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
