"""Labelled images in tables."""

from pathlib import Path

import pandas as pd

from wordsight.errors import LabelError
from wordsight.images.sets import LabelledImages
from wordsight.images.sources import stored_image


def read_table(path: Path) -> pd.DataFrame:
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


def from_table(table: pd.DataFrame, path: Path | None) -> LabelledImages:
    """Labelled images of a table with the columns image, label and, if there are, group and split; ``path``: its file."""
    missing = [column for column in ("image", "label") if column not in table.columns]
    named, first_row = ("The table", 0) if path is None else (str(path), 2)
    if missing:
        raise LabelError(
            f"{named} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; it has: "
            f"{', '.join(map(str, table.columns))}. Wanted image and label, and if you like group and split."
        )
    pairs = zip(table["image"], table["label"], strict=True)
    empty = [i for i, (image, label) in enumerate(pairs) if _is_missing(image) or _is_missing(label)]
    if empty:
        raise LabelError(
            f"Row {empty[0] + first_row} of {named} lacks its image or its label; {len(empty)} rows do. Fill them in."
        )
    if "group" in table.columns and (lacking := [i for i, group in enumerate(table["group"]) if _is_missing(group)]):
        raise LabelError(
            f"Row {lacking[0] + first_row} of {named} lacks its group; {len(lacking)} rows do. Fill them in, or leave the column out."
        )
    columns = {name: [str(value) for value in table[name]] for name in table.columns if path is not None or name != "image"}
    if path is not None:
        paths = [path.parent / image for image in columns["image"]]
    else:
        paths = [stored_image(image, number=row) for row, image in enumerate(table["image"])]
    return LabelledImages(paths, columns["label"], columns.get("group"), columns.get("split"))


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value) or (isinstance(value, float) and value != value)
