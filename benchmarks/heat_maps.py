"""Does a word's heat map lie on what the word names? On composites in which we know where the object stands.

    python benchmarks/heat_maps.py SHARED [--composites 60]

SHARED holds imagenet_sample/. Each composite is a photograph of one class with that of another class pasted into a quarter of
it, both of classes of which the translator never saw a photograph. The map of a word that names what was pasted should have its
mass inside the pasted box, whose share of the area is 0.25; the map of a word that names what is behind should not, on the same
composite (a pasted picture draws any map to itself, so this is the control). Beside it the class's own Grad-CAM.
"""

import argparse
import json
import platform
import random
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from starter_data import held_out_class, imagenet_sample
from wordsight.classifiers.imagenet import imagenet_classes
from wordsight.errors import WordsightError
from wordsight.explain import Explainer, Explanation
from wordsight.features.maps import HeatMap, class_map
from wordsight.images.files import read_image
from wordsight.language.content import lemma
from wordsight.runtime import tune_memory
from wordsight.sentences.sampling import Sampling

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


def map_of(explainer: Explainer, observed: Explanation, nouns: set[str]) -> HeatMap | None:
    """The map of the most frequent of some words, if one of the twenty most frequent is one of them and has a gradient."""
    word = next((word for word in observed.top(20) if word in nouns), None)
    if word is None:
        return None
    try:
        return explainer.word_map(observed, word)
    except WordsightError as error:  # in all or none of its sentences
        tqdm.write(f"no map: {error}")
        return None


def summary(shares: list[float]) -> dict[str, float | int]:
    """Mean with its standard error."""
    if len(shares) < 2:
        return {"maps": len(shares)}
    error = float(np.std(shares, ddof=1) / len(shares) ** 0.5)
    return {"maps": len(shares), "mean": round(float(np.mean(shares)), 3), "standard_error": round(error, 3)}


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--composites", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/heat_maps.json"))
    options = parser.parse_args()
    explainer, draw = Explainer(), random.Random(0)
    photographs = [(path, c) for path, c in imagenet_sample(options.shared) if held_out_class(c)]
    objects, grad_cam, behind, paired = [], [], [], []
    for _ in tqdm(range(options.composites)):
        (object_path, c), (back_path, other) = draw.sample(photographs, 2)
        corner = draw.choice(CORNERS)
        picture = square(back_path, SIDE)
        picture.paste(square(object_path, SIDE // 2), (round(corner[0] * SIDE), round(corner[1] * SIDE)))
        (observed,) = explainer.explain(picture, Sampling(sentences=64))
        nouns = {number: {lemma(noun) for noun in imagenet_classes()[number].nouns} for number in (c, other)}
        of_object = map_of(explainer, observed, nouns[c] - nouns[other])
        of_back = map_of(explainer, observed, nouns[other] - nouns[c])
        if of_object is not None:
            objects.append(inside(of_object, corner))
            grad_cam.append(inside(class_map(explainer.classifier, picture, explainer.classifier.labels[c]), corner))
        if of_back is not None:
            behind.append(inside(of_back, corner))
        if of_object is not None and of_back is not None:
            paired.append(objects[-1] - behind[-1])
    told = {
        "machine": f"{platform.machine()}, 2 threads",
        "translator": explainer.models.fingerprint[:12],
        "composites": options.composites,
        "area_share": 0.25,
        "mass_inside_word_of_the_object": summary(objects),
        "share_above_area_share": round(float(np.mean(np.array(objects) > 0.25)), 3) if objects else None,
        "mass_inside_grad_cam_of_its_class": summary(grad_cam),
        "mass_inside_word_of_what_is_behind": summary(behind),
        "difference_on_the_same_composite": summary(paired),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
