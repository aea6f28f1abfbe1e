"""Labelled images in tables: CSV and its relatives as people write them, Parquet, pandas."""

import csv
import io
import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from wordsight.errors import LabelError
from wordsight.images.remote import StoredImage, is_parquet_of_images, read_remote
from wordsight.images.sets import SPLITS, LabelledImages, joined
from wordsight.images.sources import stored_image

logger = logging.getLogger(__name__)

#: Endings of the tables that are read.
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")
#: Columns by what they may be called, in lower case.
_COLUMNS = {
    "image": ("image", "file_name", "filename", "file", "path", "image_path", "img"),
    "label": ("label", "class", "class_name", "target", "category"),
    "group": ("group",),
    "split": ("split",),
}
_WANTED = "Wanted the columns image (or file_name) and label, and if you like group and split"


def read_table(path: Path) -> pd.DataFrame:
    """A table's cells as text. CSV may be separated by commas, semicolons or tabs, and be UTF-8, UTF-16 or Latin-1.

    Raises LabelError for what is no table.
    """
    try:
        kind = path.suffix.lower()
        if kind == ".parquet":
            table = pd.read_parquet(path)
            return table.astype(object).where(table.notna(), "").astype(str)
        text = _text(path)
        if kind == ".jsonl":
            table = pd.DataFrame([json.loads(line) for line in text.splitlines() if line.strip()])
            return table.astype(object).where(table.notna(), "").astype(str)
        header = text.partition("\n")[0]
        separator = max("\t;,", key=lambda mark: (header.count(mark), mark == ","))
        return pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (ValueError, OSError, ImportError, pd.errors.ParserError, csv.Error) as error:
        raise LabelError(
            f"{path} cannot be read as a table ({str(error).splitlines()[0]}). {_WANTED}, in UTF-8 with a header row."
        ) from error


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.warning("%s is no UTF-8 and is read as Latin-1 (Windows); if names come out wrong, save it as UTF-8", path)
        return content.decode("cp1252", errors="replace")


def from_table(table: pd.DataFrame, path: Path | None) -> LabelledImages:
    """Labelled images of a table with the columns image, label and, if there are, group and split; ``path``: its file.

    Rows without image or label are left out and named. Raises LabelError if a column is missing or no row is left.
    """
    named, first_row = ("The table", 0) if path is None else (str(path), 2)
    columns = _columns(table, named)
    values = {name: list(table[column]) for name, column in columns.items()}
    pairs = list(zip(values["image"], values["label"], strict=True))
    empty = [i for i, pair in enumerate(pairs) if any(_is_missing(value) for value in pair)]
    if pairs and len(empty) == len(pairs):
        raise LabelError(f"{named} has {len(pairs)} rows, and each lacks its image or its label. Fill them in.")
    lacking = set(empty)
    rows = [i for i in range(len(pairs)) if i not in lacking]
    for name in ("group", "split"):
        if without := [i for i in rows if name in values and _is_missing(values[name][i])]:
            raise LabelError(
                f"Row {without[0] + first_row} of {named} lacks its {name}; {len(without)} rows do. Fill them in, or leave the "
                "column out."
            )
    text = {name: _stripped([values[name][i] for i in rows], name) for name in values if name != "image"}
    images = [values["image"][i] for i in rows]
    found = LabelledImages(
        _paths([str(image).strip() for image in images], path.parent, named)
        if path is not None
        else [stored_image(image, number=row) for row, image in zip(rows, images, strict=True)],
        text["label"],
        text.get("group"),
        None if "split" not in text else [SPLITS.get(split.lower(), split) for split in text["split"]],
        left_out={f"row {i + first_row} of {named}": "it lacks its image or its label" for i in empty},
    )
    return _without_contradictions(found)


def read_parquet(path: Path) -> LabelledImages:
    """A Parquet file, or a folder of them as Hugging Face's hub has it: images as bytes, as structs with bytes, or as paths."""
    if path.is_file():
        return read_remote(str(path)) if is_parquet_of_images(str(path)) else from_table(read_table(path), path)
    files = sorted(path.rglob("*.parquet"))
    parts = [read_parquet(file) for file in files]
    splits = [SPLITS.get(re.split(r"[-_.]", file.name.lower())[0]) for file in files]
    if all(splits) and len(set(splits)) > 1:
        parts = [part.as_split(split or "") for part, split in zip(parts, splits, strict=True)]
    return joined(parts)


def _columns(table: pd.DataFrame, named: str) -> dict[str, Any]:
    """The table's own name of each column that is known."""
    found: dict[str, Any] = {}
    have = {str(column).strip().lower(): column for column in reversed(table.columns)}
    for name, others in _COLUMNS.items():
        present = [other for other in others if other in have]
        if len(present) > 1 and present[0] != name:
            raise LabelError(f"{named} has the columns {' and '.join(present)}; name the one with the {name}s '{name}'.")
        if present:
            found[name] = have[present[0]]
    missing = [name for name in ("image", "label") if name not in found]
    if missing:
        raise LabelError(
            f"{named} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; it has: "
            f"{', '.join(map(str, table.columns))}. {_WANTED}; rename yours."
        )
    return found


def _stripped(values: Sequence[object], name: str) -> list[str]:
    stripped = [str(value).strip() for value in values]
    changed = sorted({str(value) for value, own in zip(values, stripped, strict=True) if str(value) != own})
    if changed:
        logger.warning("%s %r and %d others had blanks around them, which are taken off", name, changed[0], len(changed) - 1)
    return stripped


def _paths(images: Sequence[str], folder: Path, named: str) -> list[Path]:
    """Where images are: beside the table, or where they say; backslashes and ~ are understood."""
    addresses = [image for image in images if "://" in image]
    if any(address.startswith(("http://", "https://")) for address in addresses):
        raise LabelError(
            f"{named} names {len(addresses)} addresses (the first: {addresses[0]}), which are not fetched. Download the images and "
            "name the files, or give them in a bucket (s3://...) or as WebDataset."
        )
    found: list[Path] = []
    for image in images:
        if "://" in image:
            found.append(StoredImage(image, file=image))
            continue
        path = folder / Path(image).expanduser()
        if "\\" in image and not os.path.exists(path):  # noqa: PTH110 (names too long raise in pathlib)
            path = folder / image.replace("\\", "/")
        found.append(path)
    return found


def _without_contradictions(images: LabelledImages) -> LabelledImages:
    """Without images that have different labels in different rows: which of them is right is not known."""
    labels: dict[tuple[Path, str], set[str]] = {}
    splits = images.splits or [""] * len(images.paths)
    for path, label, split in zip(images.paths, images.labels, splits, strict=True):
        labels.setdefault((path, split), set()).add(label)
    torn = {path: own for (path, _), own in labels.items() if len(own) > 1}
    if not torn:
        return images
    rows = [i for i, path in enumerate(images.paths) if path not in torn]
    told = {str(path): f"it has the labels {' and '.join(sorted(own))}, in different rows" for path, own in torn.items()}
    kept = images.take(rows)
    return LabelledImages(
        kept.paths, kept.labels, kept.groups, kept.splits, kept.source, kept.class_map, left_out=images.left_out | told
    )


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and value != value)
