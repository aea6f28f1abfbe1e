"""Explain the photographs that scikit-image and scikit-learn ship: ``make demo``."""

import sys
from pathlib import Path

from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from wordsight.cli import main

PHOTOGRAPHS = {
    "cat": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
    "palace": lambda: load_sample_image("china.jpg"),
    "flower": lambda: load_sample_image("flower.jpg"),
}

if __name__ == "__main__":
    folder = Path("demo")
    for name, photograph in PHOTOGRAPHS.items():
        (folder / "photographs").mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph()).save(folder / "photographs" / f"{name}.png")
    sys.argv = ["wordsight", "explain", str(folder / "photographs"), "--top", "10", "--out", str(folder), *sys.argv[1:]]
    print(" ".join(sys.argv), flush=True)
    main()
