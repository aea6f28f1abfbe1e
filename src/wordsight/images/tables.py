"""Labelled images in tables: CSV, TSV, JSON lines, Parquet, pandas."""

import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from wordsight.errors import LabelError
from wordsight.images.columns import columns_of
from wordsight.images.sets import LabelledImages, Row, from_rows, is_missing, text_of
from wordsight.images.sources import stored_image
from wordsight.images.stored import StoredImage

# os.path answers where pathlib raises: names that are too long.
# ruff: noqa: PTH110

#: Endings of files that are read as tables.
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")
_SEPARATORS = (",", ";", "\t", "|")


def read_table(path: Path) -> pd.DataFrame:
    """A table of text, or a Parquet table of paths. Raises LabelError, which says what to change, if it cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        text = _decoded(path)
        if path.suffix.lower() == ".jsonl":
            return pd.DataFrame(_json_lines(text), dtype=object)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            return pd.read_csv(
                io.StringIO(text),
                sep=_separator(text, path),
                dtype=str,
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
            )
    except (ValueError, TypeError, OSError, ImportError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LabelError(
            f"{path} cannot be read as a table ({reason}). Wanted UTF-8 with a header row that has the columns image and label."
        ) from error


def _json_lines(text: str) -> list[dict[str, Any]]:
    """The object of each line. Raises ValueError, which names the line."""
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: labels may contain U+2028 and the like
        try:
            row = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f'line {number} is no object, as {{"image": "a.jpg", "label": "dog"}} is')
        rows += [row] if row else []
    return rows


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    if content[1:2] == b"\0" or content[:1] == b"\0":  # UTF-16 of a header in English, without its mark
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LabelError(
            f"{path} is not UTF-8: line {line} has the byte 0x{content[error.start]:02x}. Another encoding cannot be told for sure. "
            f"Save it as UTF-8 ('CSV UTF-8' in Excel), or convert it: iconv -f LATIN1 -t UTF-8 {path.name} > utf8{path.suffix}."
        ) from error


def _separator(text: str, path: Path) -> str:
    """The separator by which the first line has the wanted columns; by the file's ending if none or several have."""
    header = text.partition("\n")[0]
    fitting = []
    for separator in _SEPARATORS:
        try:
            columns_of([name.strip("\" '\r") for name in header.split(separator)], str(path))
            fitting.append(separator)
        except LabelError:
            continue
    if len(fitting) == 1:
        return fitting[0]
    return {".tsv": "\t", ".txt": "\t"}.get(path.suffix.lower(), ",")


def from_table(table: pd.DataFrame, path: Path | None, *, split: str | None = None) -> LabelledImages:
    """Labelled images of a table with the columns image, label and, if there are, group and split.

    ``path``: its file, to whose folder images are relative. ``split``: of all rows, if the table has no such column.
    """
    named, first_row = ("the table", 0) if path is None else (str(path), 2)
    columns = columns_of(list(table.columns), "The table" if path is None else named)
    column_of = {str(name): name for name in table.columns}
    values = {name: list(table[column_of[column]]) for name, column in columns.items()}
    rows = []
    for number, image in enumerate(values.pop("image")):
        about = {name: text_of(column[number]) for name, column in values.items()}
        name = f"Row {number + first_row} of {named}" + (f" ({image})" if isinstance(image, str) and image.strip() else "")
        rows.append(Row(name, _image(image, path, number), **({"split": split} | about)))
    return from_rows(rows, named)


def _image(value: object, table: Path | None, number: int) -> Path | None:
    if isinstance(value, str):
        value = value.strip()
    if is_missing(value) or (isinstance(value, str) and not value):
        return None
    if table is None and not isinstance(value, str):
        return stored_image(value, number=number)
    return image_path(str(value), Path() if table is None else table.parent)


def image_path(text: str, folder: Path) -> Path:
    """The path that a table means: relative to ``folder``; with ``~`` for the home folder, backslashes, or an address."""
    if "://" in text:
        return StoredImage(text, file=text)
    path = folder / text
    if "\\" in text and os.sep == "/" and not os.path.exists(path):
        text = text.replace("\\", "/")
        path = folder / text
    if text.startswith("~") and not os.path.exists(path):
        try:
            return Path(text).expanduser()
        except RuntimeError:  # a user that is not there: the path is named as missing later
            return path
    return path
