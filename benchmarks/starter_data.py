"""What the starter's translator is trained and measured on: which photographs are seen, which never."""

import csv
from collections.abc import Iterator
from pathlib import Path

from wordsight.translator.classes import class_captions, imagenet_classes


def held_out_class(index: int) -> bool:
    """Every fourth ImageNet class is kept from the translator: it sees no photograph of it. A rule, not a choice."""
    return index % 4 == 0


def imagenet_sample(shared: Path) -> Iterator[tuple[Path, int]]:
    """Photographs of the ImageNet sample, with the class index of each."""
    folder = shared / "imagenet_sample"
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield folder / row["image"], int(row["imagenet_index"])


def imagenette(shared: Path) -> Iterator[tuple[Path, int]]:
    """Photographs of Imagenette, with the class index of each."""
    index = {c.synset: i for i, c in enumerate(imagenet_classes())}
    for path in sorted((shared / "imagenette").glob("n*/*")):
        yield path, index[path.parent.name]


def write_class_captions(photographs: Iterator[tuple[Path, int]], target: Path) -> None:
    """A caption file for labelled photographs, without the classes that are held out."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        for path, index in photographs:
            if not held_out_class(index):
                writer.writerows([path.name, caption] for caption in class_captions(imagenet_classes()[index]))


def write_captions_of(images: set[str], source: Path, target: Path) -> None:
    """A caption file with the lines of some images only."""
    with source.open(newline="", encoding="utf-8") as file, target.open("w", newline="", encoding="utf-8") as out:
        reader = csv.DictReader(file)
        writer = csv.DictWriter(out, reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(row for row in reader if row["image"] in images)


def lines(path: Path) -> list[str]:
    """The lines of a text file that say something."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
