"""Something planted that captions have no word for: does an audit notice?

    python benchmarks/planted.py SHARED [--images 40]

SHARED holds imagenette/. First, in one class after the other a stamp (a yellow disc, always at the same place) or a frame
(magenta) is put on every photograph: are the class's heat maps noticed? Heads are trained on half of the photographs of all ten
classes, and looked at on the other half. Such a head could do without the stamp. So, second, as many further photographs of one
class are stamped and become a class of their own, which nothing but the stamp tells from the other: is it noticed that the
images' words explain little of its score, or that its heat maps agree? Writes benchmarks/results/planted.json.
"""

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps

from wordsight.audits.explained import Explained, explained
from wordsight.audits.focus import Focus, focus_of
from wordsight.audits.observations import rate_matrix
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head
from wordsight.explain import Explainer
from wordsight.features.extraction import open_rgb
from wordsight.features.heads import fit_head
from wordsight.features.maps import locate
from wordsight.runtime import tune_memory
from wordsight.sentences.sampler import Sampled
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.store import sample_stored
from wordsight.storage import cache_folder
from wordsight.tensors import Features

Plant: TypeAlias = Callable[[Image.Image], Image.Image]
#: Sentences about each photograph.
SENTENCES = 32


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


class Photographs:
    """The photographs of every class with their features; every other one is for training."""

    def __init__(self, explainer: Explainer, folders: Sequence[Path], images: int) -> None:
        self.explainer, self.classifier = explainer, explainer.classifier
        self.labels = tuple(folder.name for folder in folders)
        read = [[open_rgb(path) for path in sorted(folder.glob("*"))[: 2 * images]] for folder in folders]
        self.clean, self.further = [own[:images] for own in read], [own[images:] for own in read]
        self.z = [features(self.classifier, own) for own in self.clean]

    def head(self, z: Sequence[Features], labels: tuple[str, ...]) -> Head:
        """A head trained on every other photograph of each class."""
        trained = [own[1::2] for own in z]
        number = torch.arange(len(z)).repeat_interleave(torch.tensor([len(own) for own in trained]))
        return fit_head(torch.cat(trained), number, labels, self.classifier)

    def focus(self, head: Head, pictures: Sequence[Sequence[Image.Image]], labels: tuple[str, ...]) -> list[Focus]:
        """Whether the heat maps of each class agree, on the photographs that are not for training."""
        direction = head.weight - head.weight.mean(0)
        return focus_of(
            {
                label: np.stack([locate(self.classifier, p, direction[c], square=True, side=14) for p in pictures[c][0::2]])
                for c, label in enumerate(labels)
            }
        )

    @cached_property
    def sampled(self) -> list[list[Sampled]]:
        """Sentences about the photographs of each class that are not for training."""
        return [self.describe(own[0::2]) for own in self.z]

    def describe(self, z: Features) -> list[Sampled]:
        store = cache_folder() / "sentences"
        return sample_stored(
            self.explainer.models.lm, self.explainer.models.prefix(z), store, Sampling(sentences=SENTENCES), seeds=range(len(z))
        )

    def planted_everywhere(self, kind: str, plant: Plant | None, planted: int | None) -> dict[str, Any]:
        """One class with something on all its photographs."""
        pictures, z = list(self.clean), list(self.z)
        if plant is not None and planted is not None:
            pictures[planted] = [plant(picture) for picture in self.clean[planted]]
            z[planted] = features(self.classifier, pictures[planted])
        head = self.head(z, self.labels)
        found = self.focus(head, pictures, self.labels)
        record: dict[str, Any] = {
            "planted": kind,
            "in": None if planted is None else self.labels[planted],
            "agreement": {one.label: round(one.agreement.value, 3) for one in found},
            "remarkable": [one.label for one in found if one.remarkable],
        }
        if planted is not None:
            predicted = head.logits(self.z[planted][0::2]).argmax(1)
            record["predicted_so_without_it"] = float((predicted == planted).float().mean())
        observed = [one for c, own in enumerate(z) for one in (self.describe(own[0::2]) if c == planted else self.sampled[c])]
        words = self.explained(head, z, observed, self.labels)
        return record | {"explained": shares(words), "words_explain_little": [one.label for one in words if one.remarkable]}

    def explained(
        self, head: Head, z: Sequence[Features], observed: Sequence[Sampled], labels: tuple[str, ...]
    ) -> list[Explained]:
        """How much of each class's score the words explain."""
        logits = head.logits(torch.cat([own[0::2] for own in z])).double().numpy()
        logits -= logits.mean(1, keepdims=True)
        words = [{word: rate.rate for word, rate in image.rates.words.items()} for image in observed]
        _, rates = rate_matrix(words, min_images=5)
        return explained(rates, logits, labels, np.bincount(logits.argmax(1), minlength=len(labels)))

    def stamped_apart(self, planted: int) -> dict[str, Any]:
        """Further photographs of one class, stamped, as a class of their own."""
        pictures = [stamp(picture) for picture in self.further[planted]]
        z, labels = [*self.z, features(self.classifier, pictures)], (*self.labels, "stamped")
        head = self.head(z, labels)
        words = self.explained(head, z, [*chain(*self.sampled), *self.describe(z[-1][0::2])], labels)
        found = self.focus(head, [*self.clean, pictures], labels)
        predicted = head.logits(z[-1][0::2]).argmax(1)
        return {
            "planted": "a class of its own",
            "in": self.labels[planted],
            "called_stamped": float((predicted == len(self.labels)).float().mean()),
            "explained": shares(words),
            "words_explain_little": [one.label for one in words if one.remarkable],
            "agreement": {one.label: round(one.agreement.value, 3) for one in found},
            "remarkable": [one.label for one in found if one.remarkable],
        }


def shares(found: Sequence[Explained]) -> dict[str, list[float]]:
    return {one.label: [round(v, 3) for v in (one.share.value, one.share.low, one.share.high)] for one in found}


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--images", type=int, default=40, help="of each class")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/planted.json"))
    options = parser.parse_args()
    explainer = Explainer()
    of = Photographs(explainer, sorted((options.shared / "imagenette").glob("n*")), options.images)
    records = []
    for kind, plant in (("nothing", None), ("stamp", stamp), ("frame", frame)):
        for planted in range(len(of.labels)) if plant else [None]:
            records.append(of.planted_everywhere(kind, plant, planted))
            print(records[-1], flush=True)
    apart = []
    for planted in range(len(of.labels)):
        apart.append(of.stamped_apart(planted))
        print(apart[-1], flush=True)
    told = {
        "machine": f"{platform.machine()}, 2 threads",
        "translator": explainer.models.fingerprint[:12],
        "images_a_class": options.images,
        "noticed": {
            kind: [sum(r["in"] in r["remarkable"] for r in some), len(some)]
            for kind in ("stamp", "frame")
            if (some := [r for r in records if r["planted"] == kind])
        },
        "planted_words_explain_little": {
            kind: [sum(r["in"] in r["words_explain_little"] for r in some), len(some)]
            for kind in ("stamp", "frame")
            if (some := [r for r in records if r["planted"] == kind])
        },
        "other_classes_remarkable": [
            sum(len(set(r["remarkable"]) - {r["in"]}) for r in records),
            sum(len(of.labels) - (r["in"] is not None) for r in records),
        ],
        "stamped_class_noticed": {
            "words_explain_little": sum("stamped" in r["words_explain_little"] for r in apart),
            "heat_maps": sum("stamped" in r["remarkable"] for r in apart),
            "either": sum("stamped" in r["words_explain_little"] + r["remarkable"] for r in apart),
            "of": len(apart),
        },
        "its_twin_words_explain_little": sum(r["in"] in r["words_explain_little"] for r in apart),
        "other_classes_words_explain_little": [
            sum(len(set(r["words_explain_little"]) - {r["in"], "stamped"}) for r in apart),
            len(apart) * (len(of.labels) - 1),
        ],
        "records": records + apart,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    print({key: value for key, value in told.items() if key != "records"})


if __name__ == "__main__":
    main()
