"""A set of labelled images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wordsight.errors import LabelError

#: What precedes the name of a dataset on the Hugging Face Hub.
HUB = "hf:"

#: What splits are called, and what they are called here.
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",
    "evaluation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class LabelledImages:
    """Images with a label each; ``groups`` and ``splits`` where the source has them, else None. All lists are parallel.

    ``source``: what the user named, to print in commands. ``class_map``: ImageNet-9's ``in_to_in9.json``, where it came along.
    """

    paths: list[Path]
    labels: list[str]
    groups: list[str] | None = None
    splits: list[str] | None = None
    source: str | None = None
    class_map: Path | None = None

    def split(self, name: str) -> "LabelledImages":
        """The images of one split. Raises LabelError if there is none of that name."""
        rows = [i for i, split in enumerate(self.splits or []) if split == name]
        if not rows:
            raise no_split(name, self.splits or [])
        return self.take(rows)

    def take(self, rows: Sequence[int]) -> "LabelledImages":
        """Some of the images."""
        return LabelledImages(
            [self.paths[i] for i in rows],
            [self.labels[i] for i in rows],
            None if self.groups is None else [self.groups[i] for i in rows],
            None if self.splits is None else [self.splits[i] for i in rows],
            self.source,
            self.class_map,
        )


def no_split(name: str, splits: Iterable[str]) -> LabelError:
    """The error for a split that data with these splits does not have."""
    found = ", ".join(sorted(set(splits))) or "none"
    return LabelError(f"There is no split '{name}'; the data has: {found}. Name one of them, or leave --split out.")
