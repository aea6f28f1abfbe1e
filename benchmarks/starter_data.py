"""What the starter's translator is trained and measured on: which photographs are seen, which never."""

import csv
import gzip
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from wordsight.language.content import content_words

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


def read_text_captions(shared: Path, name: str) -> list[str]:
    """Captions without photographs: flickr30k or coco."""
    with gzip.open(shared / "captions_text" / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


#: How many captions a photograph may have, and what it costs to take more than the usual five.
GROUP_SIZES = {5: 0.0, 6: 2.0, 7: 4.0}


def group_captions(captions: Sequence[str]) -> list[list[str]]:
    """Captions of one photograph stand together in the files, mostly five: cut where neighbours have least in common.

    Dynamic programming over where groups end; what captions have in common is the cosine of their content words, rare ones
    weighed up.
    """
    words = [content_words(caption) for caption in captions]
    uses = Counter(word for caption in words for word in caption)
    rarity = {word: math.log(len(captions) / count) for word, count in uses.items()}
    length = [math.sqrt(sum(rarity[w] ** 2 for w in caption)) or 1.0 for caption in words]

    def common(a: int, b: int) -> float:
        return sum(rarity[w] ** 2 for w in words[a] & words[b]) / length[a] / length[b]

    largest = max(GROUP_SIZES)
    near = [[common(i, i + d) if i + d < len(words) else 0.0 for d in range(largest)] for i in range(len(words))]
    best, size = [0.0] + [-math.inf] * len(words), [0] * (len(words) + 1)
    for start in range(len(words)):
        for count, cost in GROUP_SIZES.items():
            end = start + count
            if end <= len(words) and best[start] > -math.inf:
                inside = sum(near[a][b - a] - 0.1 for a in range(start, end) for b in range(a + 1, end))
                if (total := best[start] + inside - cost) > best[end]:
                    best[end], size[end] = total, count
    end = max(range(len(words) + 1), key=lambda e: (best[e] > -math.inf, e))
    groups = []
    while end:
        groups.append(list(captions[end - size[end] : end]))
        end -= size[end]
    return groups[::-1]
