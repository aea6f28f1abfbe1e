"""Does a word's heat map lie on what the word names? On composites in which we know where the object stands.

    python benchmarks/heat_maps.py SHARED [--composites 60]

SHARED holds imagenet_sample/. Each composite is a photograph of one class with that of another class pasted into a quarter of
it; maps of words that name either one should lie on it: the mass inside the pasted photograph's box against its share of the
area, 0.25. Beside it the class's own Grad-CAM, and a control: the same maps in the box mirrored through the middle.
"""

import argparse
import json
import platform
import random
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from starter_data import imagenet_sample
from wordsight.errors import WordsightError
from wordsight.explain import Explainer
from wordsight.images.files import read_image
from wordsight.locating import HeatMap, class_map, word_maps
from wordsight.translator.classes import imagenet_classes
from wordsight.words.content import lemma

SIDE = 448
CORNERS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5))


def square(path: Path, side: int) -> Image.Image:
    """The middle square of a photograph."""
    image = read_image(path).convert("RGB")
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    return image.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.BICUBIC)


def inside(found: HeatMap, corner: tuple[float, float]) -> float:
    """Share of a map's mass in the quarter at a corner."""
    return found.share_inside(*corner, corner[0] + 0.5, corner[1] + 0.5)


def summary(shares: list[float], mirrored: list[float]) -> dict[str, float | int]:
    """Mean with its standard error, how many are above the area share, and the control."""
    return {
        "maps": len(shares),
        "mass_inside": round(float(np.mean(shares)), 3),
        "standard_error": round(float(np.std(shares, ddof=1) / len(shares) ** 0.5), 3),
        "above_area_share": round(float(np.mean(np.array(shares) > 0.25)), 3),
        "mirrored_box": round(float(np.mean(mirrored)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--composites", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/heat_maps.json"))
    options = parser.parse_args()
    explainer, draw = Explainer.starter(), random.Random(0)
    photographs = list(imagenet_sample(options.shared))
    words: tuple[list[float], list[float]] = ([], [])
    classes: tuple[list[float], list[float]] = ([], [])
    behind: list[float] = []
    unsaid = 0
    for _ in tqdm(range(options.composites)):
        (object_path, c), (back_path, other) = draw.sample(photographs, 2)
        corner = draw.choice(CORNERS)
        mirror = (0.5 - corner[0], 0.5 - corner[1])
        picture = square(back_path, SIDE)
        picture.paste(square(object_path, SIDE // 2), (round(corner[0] * SIDE), round(corner[1] * SIDE)))
        (said,) = explainer.explain(picture, sentences=64)
        nouns = {number: {lemma(noun) for noun in imagenet_classes()[number].nouns} for number in (c, other)}
        own = [w for w in said.top(20) if w in nouns[c] - nouns[other]][:1]
        back = [w for w in said.top(20) if w in nouns[other] - nouns[c]][:1]
        unsaid += not own
        for some, of_object in ((own, True), (back, False)):
            try:
                maps = word_maps(explainer, picture, some, sentences=64)
            except WordsightError:  # said in all of the sentences: no gradient
                continue
            for found in maps:
                if of_object:
                    words[0].append(inside(found, corner))
                    words[1].append(inside(found, mirror))
                else:
                    behind.append(inside(found, corner))
        if own:
            found = class_map(explainer.classifier, picture, explainer.classifier.labels[c])
            classes[0].append(inside(found, corner))
            classes[1].append(inside(found, mirror))
    told = {
        "machine": f"{platform.machine()}, 2 threads",
        "translator": explainer.fingerprint[:12],
        "composites": options.composites,
        "object_not_said": unsaid,
        "area_share": 0.25,
        "word_of_the_object": summary(*words),
        "grad_cam_of_its_class": summary(*classes),
        "word_of_what_is_behind": {"maps": len(behind), "mass_inside": round(float(np.mean(behind)), 3)} if behind else None,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
