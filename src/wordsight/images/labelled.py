"""Labelled images as people keep them: a folder a class, a table, a Hugging Face dataset, or a benchmark's release."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wordsight.errors import LabelError
from wordsight.images.files import find_images

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
    "test": "test",
}


@dataclass(frozen=True)
class LabelledImages:
    """Images with a label each; ``groups`` and ``splits`` where the source has them, else None. All lists are parallel."""

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
        )


def no_split(name: str, splits: Iterable[str]) -> LabelError:
    """The error for a split that data with these splits does not have."""
    found = ", ".join(sorted(set(splits))) or "none"
    return LabelError(f"There is no split '{name}'; the data has: {found}. Name one of them, or leave --split out.")


def read_labelled(source, *, split: str | None = None) -> LabelledImages:
    """Read labelled images from what ``source`` is, all or those of one split.

    - A folder with a folder a class: the folders' names are the labels. Where those are called train, val and test (or the
      like), the folders a class are looked for inside them, and the names are the splits.
    - A CSV, TSV or Parquet table with the columns image and label and, if it likes, group and split. Images are relative to
      the table's folder.
    - The folder of the Backgrounds Challenge (ImageNet-9, Xiao et al. 2021): its variations (original, mixed_rand, ...) are
      the splits, its nine classes the labels.
    - The folder of the Waterbirds release (Sagawa et al. 2020), known by its metadata.csv: labels landbird and waterbird,
      groups land and water.
    - A Hugging Face dataset: a folder that ``save_to_disk`` wrote, or ``hf:owner/name`` or ``hf:owner/name:config`` for one on
      the Hub. See ``hub.read_dataset``.

    Raises LabelError if it is none of these or has no images.
    """
    if isinstance(source, LabelledImages):
        return source if split is None else source.split(split)
    path = Path(source)
    if str(source).startswith(HUB) or _is_saved_dataset(path):
        found = _dataset(source, split)
    elif path.is_dir():
        if (path / "metadata.csv").is_file():
            found = _waterbirds(path)
        elif _variations(path):
            found = _backgrounds(path)
        else:
            found = _folders(path)
    elif path.suffix.lower() in (".csv", ".tsv", ".parquet") and path.is_file():
        found = _table(_read_table(path), path)
    else:
        raise LabelError(
            f"{source} is not labelled images. Give a folder with a folder a class, or a .csv, .tsv or .parquet file with the "
            f"columns image and label, or a Hugging Face dataset: a folder that save_to_disk wrote, or {HUB}owner/name."
        )
    if not found.paths:
        raise LabelError(
            f"{source} has no images. Give a folder with a folder of images a class, or a table or dataset with rows."
        )
    return found if split is None else found.split(split)


def _is_saved_dataset(path: Path) -> bool:
    """Whether ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote this folder."""
    alone = all((path / name).is_file() for name in ("dataset_info.json", "state.json"))
    return alone or (path / "dataset_dict.json").is_file()


def _dataset(source: str | Path, split: str | None) -> LabelledImages:
    try:
        from wordsight.images.hub import read_dataset
    except ImportError as error:
        raise LabelError(
            f"{source} is a Hugging Face dataset, and the package datasets, which reads it, cannot be imported ({error}). "
            "Install it: pip install 'wordsight[datasets]'."
        ) from error
    return read_dataset(source, split=split)


def _folders(path: Path) -> LabelledImages:
    classes = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if classes and all(p.name.lower() in SPLITS for p in classes):
        parts = [(SPLITS[p.name.lower()], _folders(p)) for p in classes]
        return LabelledImages(
            [image for _, part in parts for image in part.paths],
            [label for _, part in parts for label in part.labels],
            splits=[split for split, part in parts for _ in part.paths],
        )
    paths: list[Path] = []
    labels: list[str] = []
    for folder in classes:
        if any(p.is_file() for p in folder.rglob("*")):
            found = find_images([folder])
            paths += found
            labels += [folder.name] * len(found)
    return LabelledImages(paths, labels)


#: The Backgrounds Challenge's variations of each photograph.
_VARIATIONS = ("original", "mixed_same", "mixed_rand", "mixed_next", "only_bg_b", "only_bg_t", "no_fg", "only_fg")


def _variations(path: Path) -> list[str]:
    return [name for name in _VARIATIONS if (path / name / "val").is_dir()]


def _backgrounds(path: Path) -> LabelledImages:
    """Folders like mixed_rand/val/02_wheeled vehicle; a class's number is not part of its name."""
    parts = [(name, _folders(path / name / "val")) for name in _variations(path)]
    return LabelledImages(
        [image for _, part in parts for image in part.paths],
        [label.partition("_")[2] or label for _, part in parts for label in part.labels],
        splits=[name for name, part in parts for _ in part.paths],
    )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
            return table.astype(object).where(table.notna(), "").astype(str)
        return pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", dtype=str, keep_default_na=False)
    except (ValueError, OSError, UnicodeDecodeError, ImportError, pd.errors.ParserError) as error:
        raise LabelError(
            f"{path} cannot be read as a table ({str(error).splitlines()[0]}). Wanted UTF-8 with a header row that has the "
            "columns image and label."
        ) from error


def _table(table: pd.DataFrame, path: Path) -> LabelledImages:
    missing = [column for column in ("image", "label") if column not in table.columns]
    if missing:
        raise LabelError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; it has: "
            f"{', '.join(map(str, table.columns))}. Wanted image and label, and if you like group and split."
        )
    empty = [i for i, (image, label) in enumerate(zip(table["image"], table["label"], strict=True)) if not (image and label)]
    if empty:
        raise LabelError(f"Row {empty[0] + 2} of {path} lacks its image or its label; {len(empty)} rows do. Fill them in.")
    if "group" in table.columns and (lacking := [i for i, group in enumerate(table["group"]) if not group]):
        raise LabelError(
            f"Row {lacking[0] + 2} of {path} lacks its group; {len(lacking)} rows do. Fill them in, or leave the column out."
        )
    columns = {name: [str(value) for value in table[name]] for name in table.columns}
    return LabelledImages(
        [path.parent / image for image in columns["image"]], columns["label"], columns.get("group"), columns.get("split")
    )


def _waterbirds(path: Path) -> LabelledImages:
    table = _read_table(path / "metadata.csv")
    wanted = ["img_filename", "y", "place", "split"]
    if missing := [column for column in wanted if column not in table.columns]:
        raise LabelError(
            f"{path / 'metadata.csv'} lacks {', '.join(missing)}, so this is not the Waterbirds release (columns "
            f"{', '.join(wanted)}). For other data, give a table with the columns image and label."
        )
    names = {"y": ("landbird", "waterbird"), "place": ("land", "water"), "split": ("train", "val", "test")}
    columns = {}
    for column, values in names.items():
        known = {str(i): value for i, value in enumerate(values)}
        unknown = sorted(set(table[column]) - known.keys())
        if unknown:
            raise LabelError(f"{path / 'metadata.csv'} has {column} {unknown[0]!r}, wanted one of {', '.join(known)}.")
        columns[column] = [known[value] for value in table[column]]
    return LabelledImages([path / name for name in table["img_filename"]], columns["y"], columns["place"], columns["split"])
