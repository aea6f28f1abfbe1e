"""What the starter's translator is trained and measured on: which photographs are seen, which never."""

import csv
from collections.abc import Iterator
from pathlib import Path

#: The captioned sets that the starter is trained and measured on.
SETS = ("flickr8k", "coco_small", "ade_interiors", "dtd_textures")


def held_out_class(index: int) -> bool:
    """Every fourth ImageNet class is kept from the translator: it sees no photograph of it. A rule, not a choice."""
    return index % 4 == 0


def imagenet_sample(shared: Path) -> Iterator[tuple[Path, int]]:
    """Photographs of the ImageNet sample, with the class index of each."""
    folder = shared / "imagenet_sample"
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield folder / row["image"], int(row["imagenet_index"])


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
