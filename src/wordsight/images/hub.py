"""Labelled images from Hugging Face datasets, saved on disk or by name. Imported only when asked for: it needs ``datasets``."""

import logging
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from wordsight.errors import LabelError
from wordsight.images.files import EXTENSIONS
from wordsight.images.sets import HUB, SPLITS, LabelledImages, no_split
from wordsight.storage import cache_folder, replacing

logger = logging.getLogger(__name__)

#: A dataset's name, and its configuration where it has several; nothing that leads up in the file system.
_NAME = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?::([^:]+))?")

#: How common kinds of images begin.
_BEGINNINGS = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG"), ".png"),
    (re.compile(rb"GIF8"), ".gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), ".avif"),
    (re.compile(rb"II\*\0|MM\0\*"), ".tif"),
    (re.compile(rb"BM"), ".bmp"),
)


@dataclass(frozen=True)
class _Part:
    """A Dataset: alone, or one of a DatasetDict's. ``title`` is its name in messages."""

    rows: datasets.Dataset
    name: str
    split: str | None
    title: str


def read_dataset(source: object, *, split: str | None = None) -> LabelledImages:
    """Labelled images of a Hugging Face dataset.

    ``source`` is a dataset in memory, a folder that ``save_to_disk`` wrote, or ``hf:owner/name`` or ``hf:owner/name:config``
    for one on the Hub. The images are in its one column of type Image, the labels in the column label or else in the only one
    of type ClassLabel; a column group is read if there is one. The parts of a DatasetDict are the splits. A part without any
    label is left out if others have some. One part alone is a split only if ``split`` asks for it, since nothing can be held
    out by it.

    The rest of wordsight reads files: images that are bytes in the dataset are written as they are, once, to the cache; with
    ``split`` only that split's. A row without an image gets an empty file, to be named later among those that cannot be read.

    Raises LabelError if the dataset cannot be loaded, lacks these columns or the split, or has no row with label and
    group. Rows without are in ``left_out``.
    """
    parts = _parts(source)
    if split is not None:
        known = [part.split for part in parts if part.split]
        parts = [part for part in parts if part.split == split]
        if not parts:
            raise no_split(split, known)
    # Whatever is wrong with the columns is said before gigabytes of images are written.
    images = {part.name: _image_column(part) for part in parts}
    labels = {part.name: _values(part, _label_column(part)) for part in parts}
    parts = _with_labels(parts, labels)
    grouped = [part for part in parts if "group" in part.rows.column_names]
    if 0 < len(grouped) < len(parts):
        lacking = next(part for part in parts if "group" not in part.rows.column_names)
        raise LabelError(
            f"{lacking.title} lacks the column group, which other splits have. Add it, or take it out of all: "
            "dataset.remove_columns('group')."
        )
    groups = {part.name: _values(part, "group") for part in grouped}
    lacking = {part.name: _incomplete(part, labels, groups) for part in parts}
    rows = {part.name: [row for row in range(len(part.rows)) if row not in lacking[part.name]] for part in parts}
    if any(lacking.values()) and not any(rows.values()):
        raise LabelError(_nothing_complete(parts, lacking))
    paths = [path for part in parts for path in _files(part, images[part.name], rows[part.name])]
    splits = [part.split or "" for part in parts for _ in rows[part.name]]
    return LabelledImages(
        paths,
        [str(labels[part.name][row]) for part in parts for row in rows[part.name]],
        [str(groups[part.name][row]) for part in parts for row in rows[part.name]] if groups else None,
        splits if split is not None or len(set(splits)) > 1 else None,
        left_out={
            f"Row {row} of {part.title}": f"it has no {column}; fill it in."
            for part in parts
            for row, column in lacking[part.name].items()
        },
    )


def _parts(source: object) -> list[_Part]:
    if isinstance(source, datasets.DatasetDict):
        loaded, source = _by_name(source), "the dataset"
    elif isinstance(source, datasets.Dataset):
        loaded, source = source, "The dataset"
    else:
        loaded = _load_by_name(str(source)) if str(source).startswith(HUB) else _load_from_disk(str(source))
    if isinstance(loaded, datasets.Dataset):
        return [_Part(loaded.with_format(None), "image", None, str(source))]
    return [
        _Part(rows.with_format(None), name, SPLITS.get(name.lower(), name), f"The split {name} of {source}")
        for name, rows in loaded.items()
    ]


def _load_from_disk(folder: str | Path) -> datasets.Dataset | dict[str, datasets.Dataset]:
    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # damaged files raise what Arrow, JSON and the features' own checks raise
        raise LabelError(
            f"{folder} cannot be read as a Hugging Face dataset ({_reason(error)}). Wanted a folder as save_to_disk writes it; "
            "write or copy it again."
        ) from error
    return loaded if isinstance(loaded, datasets.Dataset) else _by_name(loaded)


def _load_by_name(source: str) -> dict[str, datasets.Dataset]:
    named = _NAME.fullmatch(source.removeprefix(HUB))
    if named is None:
        raise LabelError(
            f"'{source}' is no name of a Hugging Face dataset, wanted {HUB}owner/name or {HUB}owner/name:config. For a dataset "
            "on disk, give its folder alone."
        )
    name, config = named.groups()
    if Path(name).exists():
        raise LabelError(
            f"'{source}' names a dataset on the Hugging Face Hub, but {name} is here, too, and would be read in its place. "
            f"Give it without '{HUB}' if you want it, or start wordsight in another folder."
        )
    try:
        # Refused, not asked for: version 3 of datasets still runs a dataset's own code if an environment variable lets it.
        return _by_name(datasets.load_dataset(name, config, trust_remote_code=False))
    except Exception as error:  # whatever the network, the Hub and a dozen file formats raise
        raise LabelError(
            f"'{source}' cannot be loaded from the Hugging Face Hub ({_reason(error)}). Wanted {HUB}owner/name or "
            f"{HUB}owner/name:config of a dataset that is data files alone: check the spelling and the network, log in with "
            "'hf auth login' if it is not public, or give a folder that save_to_disk wrote."
        ) from error


def _by_name(loaded: Mapping[Any, datasets.Dataset]) -> dict[str, datasets.Dataset]:
    return {str(name): rows for name, rows in loaded.items()}


def _reason(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 400)


def _image_column(part: _Part) -> str:
    found = [name for name, feature in part.rows.features.items() if isinstance(feature, datasets.Image)]
    if not found:
        raise LabelError(
            f"{part.title} has no column of type Image; it has: {_described(part)}. Wanted one: if a column holds paths or "
            "bytes of images, make it one with dataset.cast_column(column, datasets.Image()) and save that."
        )
    if len(found) > 1:
        raise LabelError(
            f"{part.title} has {len(found)} columns of type Image, {', '.join(found)}; wanted one. Take the others out with "
            "dataset.remove_columns(column) and save that."
        )
    return found[0]


def _label_column(part: _Part) -> str:
    features = part.rows.features
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel) and name != "group"]
    if "label" in features or len(classes) == 1:
        return "label" if "label" in features else classes[0]
    raise LabelError(
        f"{part.title} has no column label and {len(classes)} of type ClassLabel; it has: {_described(part)}. Wanted label, or "
        "one ClassLabel. Name yours so with dataset.rename_column(column, 'label') and save that."
    )


def _described(part: _Part) -> str:
    kinds = {name: getattr(feature, "dtype", None) for name, feature in part.rows.features.items()}
    named = {name: type(feature).__name__ for name, feature in part.rows.features.items()}
    return ", ".join(f"{name} ({kinds[name] if named[name] == 'Value' else named[name]})" for name in kinds) or "no column"


def _values(part: _Part, column: str) -> list[str | None]:
    """A column's values as text, a class by its name; None where there is none, as -1 says of a class."""
    feature = part.rows.features[column]
    if not isinstance(feature, datasets.ClassLabel | datasets.Value):
        raise LabelError(
            f"{part.title} has {type(feature).__name__} in its column {column}, wanted one string, number or ClassLabel an "
            "image. Make it one with dataset.map and save that."
        )
    values = part.rows.select_columns(column)[:][column]
    if isinstance(feature, datasets.ClassLabel):
        return [feature.names[value] if value is not None and 0 <= value < len(feature.names) else None for value in values]
    return [None if value is None or value == "" else str(value) for value in values]


def _with_labels(parts: list[_Part], labels: dict[str, list[str | None]]) -> list[_Part]:
    """Without those that have no label at all, as published test splits do; all of them if none has any."""
    found = [part for part in parts if any(labels[part.name])]
    for part in parts:
        if found and not any(labels[part.name]):
            logger.warning("%s has no labels and is left out", part.title)
    return found or parts


def _incomplete(
    part: _Part, labels: Mapping[str, Sequence[str | None]], groups: Mapping[str, Sequence[str | None]]
) -> dict[int, str]:
    """The rows that lack a label or a group, with what they lack."""
    found: dict[int, str] = {}
    for column, values in (("group", groups), ("label", labels)):
        found |= {row: column for row, value in enumerate(values.get(part.name, ())) if value is None}
    return found


def _nothing_complete(parts: Sequence[_Part], lacking: Mapping[str, Mapping[int, str]]) -> str:
    part = next(part for part in parts if lacking[part.name])
    column = next(iter(lacking[part.name].values()))
    return (
        f"{part.title} has rows without {column}, {len(lacking[part.name])} of {len(part.rows)}, and no row is left. Fill them in, "
        "or take the column out with dataset.remove_columns, and save that."
    )


def _files(part: _Part, column: str, rows: Sequence[int]) -> list[Path]:
    """A file for the image of each of these rows: the one that the dataset names, or its bytes in the cache, written once."""
    # The fingerprint stands for the rows' content. It comes with the data, and must not lead to another folder.
    folder = cache_folder() / "datasets" / _plain(part.rows._fingerprint)
    images = part.rows.select_columns(column).cast_column(column, datasets.Image(decode=False))
    paths = []
    try:
        for i in rows:
            image = images[i][column] or {"bytes": None, "path": None}
            path, content = image["path"], image["bytes"]
            if content is None and path:
                paths.append(Path(path))
                continue
            name = f"{_plain(part.name)}-{i:06d}"
            file = folder / (f"{name}{_suffix(content, path)}" if content else f"{name}.no-image")
            if not file.is_file() or file.stat().st_size != len(content or b""):
                with replacing(file) as partial:
                    partial.write_bytes(content or b"")
            paths.append(file)
    except OSError as error:
        raise LabelError(
            f"The images of {part.title} cannot be written to {folder} ({_reason(error)}). Make room there, or name another "
            "folder for the cache in WORDSIGHT_CACHE."
        ) from error
    return paths


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]", "_", name)[:64]


def _suffix(content: bytes, path: str | None) -> str:
    """What the file of an image is to end with: only for people, wordsight looks inside."""
    named = Path(path or "").suffix.lower()
    return next((suffix for begins, suffix in _BEGINNINGS if begins.match(content)), named if named in EXTENSIONS else "")
