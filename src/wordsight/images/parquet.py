"""Labelled images in Parquet files that hold the images themselves. It needs ``pyarrow``, which is imported when it is used."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec

from wordsight.errors import LabelError
from wordsight.images.columns import columns_of
from wordsight.images.sets import Row, text_of
from wordsight.images.stored import StoredImage, pyarrow_parquet


def holds_images(file: Path) -> bool:
    """Whether a file on this machine holds images, not paths. Raises LabelError if it cannot be read or has no images."""
    try:
        schema = pyarrow_parquet(str(file)).read_schema(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise LabelError(_damaged(file, error)) from error
    kind = str(schema.field(columns_of(schema.names, str(file))["image"]).type)
    return kind.startswith("struct") or "binary" in kind


def parquet_rows(file: str, *, split: str | None = None) -> list[Row]:
    """The rows of a file with the columns image (bytes, or a struct of bytes and path, as Hugging Face writes) and label, and if
    there are, group and split; class names that Hugging Face left in the file are taken. ``split``: of the whole file.
    """
    parquet = pyarrow_parquet(file)
    try:
        with fsspec.open(file, "rb") as stream:
            table = parquet.ParquetFile(stream)
            roles = columns_of(table.schema_arrow.names, file)
            rest = {name: table.read(columns=[column])[column].to_pylist() for name, column in roles.items() if name != "image"}
            about = (table.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    except (OSError, ValueError) as error:
        raise LabelError(_damaged(file, error)) from error
    for name, values in rest.items():
        rest[name] = _named(values, _class_names(about, roles[name]))
    rows = range(len(rest["label"]))
    return [
        Row(
            f"Row {row} of {file}",
            StoredImage(f"{file}/{row}", file=file, first=row),
            **{name: values[row] for name, values in ({"split": [split] * len(rows)} | rest).items()},
        )
        for row in rows
    ]


def _damaged(file: object, error: Exception) -> str:
    return f"{file} cannot be read as Parquet ({' '.join(str(error).split())}). Write or download it again."


def _class_names(about: bytes, column: str) -> list[Any] | None:
    """The names of a column's classes in what Hugging Face left in a file; None if it has none, or is not as they write it."""
    try:
        found = json.loads(about)
    except (ValueError, RecursionError):
        return None
    for key in ("info", "features", column, "names"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, list) else None


def _named(values: Sequence[Any], names: list[Any] | None) -> list[str | None]:
    """Values as text, numbers of classes by their names; -1 says that there is none."""
    if not names:
        return [text_of(value) for value in values]
    return [str(names[value]) if isinstance(value, int) and 0 <= value < len(names) else None for value in values]
