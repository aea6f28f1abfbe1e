"""A set of labelled images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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
    ``left_out``: rows that have no image, label, group or split, with what they lack.
    """

    paths: list[Path]
    labels: list[str]
    groups: list[str] | None = None
    splits: list[str] | None = None
    source: str | None = None
    class_map: Path | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    def split(self, name: str) -> "LabelledImages":
        """The images of one split. Raises LabelError if there is none of that name."""
        rows = [i for i, split in enumerate(self.splits or []) if split == name]
        if not rows:
            raise no_split(name, self.splits or [])
        return self.take(rows)

    def take(self, rows: Sequence[int]) -> "LabelledImages":
        """Some of the images."""
        return replace(
            self,
            paths=[self.paths[i] for i in rows],
            labels=[self.labels[i] for i in rows],
            groups=None if self.groups is None else [self.groups[i] for i in rows],
            splits=None if self.splits is None else [self.splits[i] for i in rows],
        )


@dataclass(frozen=True)
class Row:
    """One image as its source has it, None for what is missing. ``name``: where it stands."""

    name: str
    image: Path | None
    label: str | None
    group: str | None = None
    split: str | None = None


def from_rows(rows: Sequence[Row], source: str) -> LabelledImages:
    """The rows that have all that others have; the rest in ``left_out``. Raises LabelError if no row has image and label."""
    wanted = ["image", "label", *(name for name in ("group", "split") if any(getattr(row, name) is not None for row in rows))]
    lacking = {row.name: [name for name in wanted if getattr(row, name) is None] for row in rows}
    complete = [row for row in rows if not lacking[row.name]]
    left_out = {row: f"it has no {' and no '.join(names)}; fill it in." for row, names in lacking.items() if names}
    if left_out and not complete:
        name, reason = next(iter(left_out.items()))
        raise LabelError(f"None of the {len(rows)} rows of {source} can be used. {name}: {reason}")
    return LabelledImages(
        [row.image for row in complete if row.image is not None],
        [row.label for row in complete if row.label is not None],
        [row.group for row in complete if row.group is not None] if "group" in wanted else None,
        [row.split for row in complete if row.split is not None] if "split" in wanted else None,
        left_out=left_out,
    )


def is_missing(value: object) -> bool:
    """Whether a table has nothing here: None, NaN, or pandas' own kinds of it."""
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ in ("NAType", "NaTType")


def text_of(value: object) -> str | None:
    """A label, group or split as text; None if there is none. Whole numbers that came as floats are whole numbers."""
    if is_missing(value):
        return None
    shown = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return shown if shown.strip() else None


def no_split(name: str, splits: Iterable[str]) -> LabelError:
    """The error for a split that data with these splits does not have."""
    found = ", ".join(sorted(set(splits))) or "none"
    return LabelError(f"There is no split '{name}'; the data has: {found}. Name one of them, or leave --split out.")
