"""Something planted that captions have no word for: does an audit notice that a class is decided at one place?

    python benchmarks/planted.py SHARED [--images 40]

SHARED holds imagenette/. In one class after the other a stamp (a yellow disc, always at the same place) or a frame (magenta) is
put on every photograph; a head is trained on half of the photographs of all ten classes, the heat maps are those of the other
half. Writes benchmarks/results/planted.json.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps

from wordsight.audit.places import places
from wordsight.features.classifier import Classifier
from wordsight.features.extraction import read_picture
from wordsight.features.head import fit_head
from wordsight.locating import locate
from wordsight.starter import starter_classifier
from wordsight.tensors import Features


def stamp(image: Image.Image) -> Image.Image:
    """A disc of a fifth of the shorter side, below and right of the middle: inside every crop."""
    image, size = image.copy(), min(image.size)
    x, y, r = image.width // 2 + size // 4, image.height // 2 + size // 4, size // 10
    ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 0), outline=(0, 0, 0), width=3)
    return image


def frame(image: Image.Image) -> Image.Image:
    """A border of a fourteenth of the shorter side, of which the middle crop loses most."""
    width = max(6, min(image.size) // 14)
    return ImageOps.expand(ImageOps.crop(image, width), width, (255, 0, 255))


def features(classifier: Classifier, pictures: list[Image.Image]) -> Features:
    """Features of pictures, mean of the views."""
    return torch.cat([classifier.features_of(classifier.prepare(picture)[None]).mean(1) for picture in pictures])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--images", type=int, default=40, help="of each class")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/planted.json"))
    options = parser.parse_args()
    classifier = starter_classifier()
    folders = sorted((options.shared / "imagenette").glob("n*"))
    labels = tuple(folder.name for folder in folders)
    clean = [[read_picture(path) for path in sorted(folder.glob("*"))[: options.images]] for folder in folders]
    z_clean = [features(classifier, pictures) for pictures in clean]
    records = []
    for kind, plant in (("nothing", None), ("stamp", stamp), ("frame", frame)):
        for planted in range(len(folders)) if plant else [None]:
            pictures, z = list(clean), list(z_clean)
            if plant is not None and planted is not None:
                pictures[planted] = [plant(picture) for picture in clean[planted]]
                z[planted] = features(classifier, pictures[planted])
            number = torch.arange(len(folders)).repeat_interleave(len(clean[0][1::2]))
            head = fit_head(torch.cat([own[1::2] for own in z]), number, labels, classifier)
            direction = head.weight - head.weight.mean(0)
            maps = {
                label: np.stack([locate(classifier, p, direction[c], square=True, side=14) for p in pictures[c][0::2]])
                for c, label in enumerate(labels)
            }
            found = places(maps)
            record = {
                "planted": kind,
                "in": None if planted is None else labels[planted],
                "agreement": {one.label: round(one.agreement.value, 3) for one in found},
                "remarkable": [one.label for one in found if one.remarkable],
            }
            if planted is not None:
                called = head.logits(z_clean[planted][0::2]).argmax(1)
                record["called_so_without_it"] = float((called == planted).float().mean())
            records.append(record)
            print(record, flush=True)
    told = {
        "machine": f"{platform.machine()}, 2 threads",
        "images_a_class": options.images,
        "noticed": {
            kind: [sum(r["in"] in r["remarkable"] for r in some), len(some)]
            for kind in ("stamp", "frame")
            if (some := [r for r in records if r["planted"] == kind])
        },
        "other_classes_remarkable": [
            sum(len(set(r["remarkable"]) - {r["in"]}) for r in records),
            sum(len(labels) - (r["in"] is not None) for r in records),
        ],
        "records": records,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    print(told["noticed"], told["other_classes_remarkable"])


if __name__ == "__main__":
    main()
