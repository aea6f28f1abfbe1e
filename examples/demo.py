"""Explain the photographs that scikit-image and scikit-learn ship: ``make demo``."""

import sys
from pathlib import Path

from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from wordsight.cli import main
from wordsight.sentences.sampling import Sampling

PHOTOGRAPHS = {
    "cat": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
    "palace": lambda: load_sample_image("china.jpg"),
    "flower": lambda: load_sample_image("flower.jpg"),
}
FOLDER = Path("demo")


def say(text: str) -> None:
    """A line on standard output at once, in a log file as well as in a terminal."""
    print(text, flush=True)


def demo() -> None:
    """Write the photographs and explain them into ``demo/``."""
    (FOLDER / "photographs").mkdir(parents=True, exist_ok=True)
    for name, photograph in PHOTOGRAPHS.items():
        Image.fromarray(photograph()).save(FOLDER / "photographs" / f"{name}.png")
    say(f"wrote {len(PHOTOGRAPHS)} photographs to {FOLDER / 'photographs'}")
    say("loading the starter; at the first start its weights (110 MB) are fetched and converted, which takes about a minute")
    say(f"sampling {Sampling().sentences} sentences for each of the five photographs together: 10 to 30 seconds on two cores")
    sys.argv = ["wordsight", "explain", str(FOLDER / "photographs"), "--top", "10", "--out", str(FOLDER), *sys.argv[1:]]
    say(" ".join(sys.argv))
    try:
        main()
    except SystemExit as ended:  # a command always ends so
        if ended.code:
            raise
    say(f"Look at {FOLDER / 'cat.words.png'} and its neighbours: each photograph beside its words, rates and sentences.")
    say("Then try your own: .venv/bin/wordsight explain demo/photographs/cat.png --where cat --out maps/ (a heat map).")
    say("Your own model: .venv/bin/wordsight explain photo.jpg --classifier torchvision:resnet50 --images photographs/")


if __name__ == "__main__":
    demo()
