"""Labelled images, in whatever form people have them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from wordsight.errors import LabelError
from wordsight.images.files import images_in
from wordsight.images.folders import folders
from wordsight.images.layout import split_name
from wordsight.images.parquet import holds_images, parquet_rows
from wordsight.images.releases import backgrounds, variations, waterbirds
from wordsight.images.remote import is_remote, read_remote
from wordsight.images.sets import HUB, LabelledImages, from_rows
from wordsight.images.sources import is_dataset, labelled_items
from wordsight.images.tables import TABLES, from_table, read_table
from wordsight.images.tidy import tidied

__all__ = ["LabelledImages", "read_labelled"]


def read_labelled(source: object, *, split: str | None = None) -> LabelledImages:
    """Labelled images from what ``source`` is, all or those of one split.

    - A folder with a folder for each class: the folders' names are the labels. Splits (train, val, test or the like) are
      recognised above the classes and below them; see ``layout.places``. What may be both is refused.
    - A table with the columns image (or file_name) and label and, if there are, group and split: CSV with any usual separator,
      TSV, JSON lines, or Parquet. Images are relative to the table's folder. Or such a table in pandas, with paths or images.
    - Parquet files that hold the images (bytes, or a struct of bytes and path), or a folder of them.
    - A folder with the metadata.csv or metadata.jsonl of Hugging Face's imagefolder, or folders of splits with one each.
    - The folder of the Backgrounds Challenge (ImageNet-9, Xiao et al. 2021): its variations (original, mixed_rand, ...) are
      the splits, its nine classes the labels.
    - The folder of the Waterbirds release (Sagawa et al. 2020), known by its metadata.csv: labels landbird and waterbird,
      groups land and water.
    - A Hugging Face dataset: in memory, a folder that ``save_to_disk`` wrote, or ``hf:owner/name`` or ``hf:owner/name:config``
      for one on the Hub. See ``hub.read_dataset``.
    - An address with ``://`` (a bucket, as fsspec reads it), WebDataset shards (``.tar``): see ``remote.read_remote``.
    - A PyTorch dataset or data loader with items (image, label), such as torchvision's ``ImageFolder``.
    - A ``LabelledImages``.

    Blanks around labels are taken off, and the log says so. A row without image or label is named in ``left_out``; the rest goes on.
    Images in memory are written to the cache once, as PNG. Raises LabelError if the source is none of these or has no images.
    """
    if not isinstance(source, LabelledImages) and split is not None:
        split = split_name(split) or split
    try:
        found = _read(source, split)
    except OSError as error:  # a name that is too long, a folder that may not be read, a disk that fails
        raise LabelError(
            f"{_shown(source)} cannot be read ({error}). Wanted files that this user may read: look at the name and the "
            "permissions."
        ) from error
    if not found.paths:
        raise LabelError(
            f"{_shown(source)} has no images. Give a folder with a folder of images for each class, or a table or dataset with rows."
        )
    if not isinstance(source, LabelledImages):
        found = tidied(found, _shown(source))
    if isinstance(source, str | Path):
        found = replace(found, source=str(source))
    already = found.splits is not None and split is not None and set(found.splits) == {split}
    return found if split is None or already else found.split(split)


def _read(source: object, split: str | None) -> LabelledImages:
    if isinstance(source, LabelledImages):
        return source
    if isinstance(source, pd.DataFrame):
        return from_table(source, None)
    if type(source).__module__.partition(".")[0] == "datasets":
        return _hugging_face(source, split)
    if is_dataset(source):
        return labelled_items(source)
    if not isinstance(source, str | Path):
        raise LabelError(_unknown(source))
    if is_remote(source):
        return read_remote(str(source))
    path = Path(source).expanduser()
    if str(source).startswith(HUB) or _is_saved_dataset(path):
        return _hugging_face(source, split)
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() in TABLES and path.is_file():
        return _table(path)
    raise LabelError(_unknown(source))


def _in_folder(path: Path) -> LabelledImages:
    if metadata := _metadata(path):
        columns = {str(column).strip().lower() for column in read_table(metadata).columns}
        if "img_filename" in columns:
            return waterbirds(path)
        if "label" in columns or not any(images_in(str(folder)) for folder in path.iterdir() if folder.is_dir()):
            return _table(metadata)
    if variations(path):
        return backgrounds(path)
    parts = [(split_name(folder.name), file) for folder in sorted(path.iterdir()) if (file := _metadata(folder))]
    if parts and all(split for split, _ in parts):
        return _joined([_table(file, split=split) for split, file in parts])
    if (files := sorted(path.rglob("*.parquet"))) and not images_in(str(path)):
        return _joined([_table(file, split=_split_of(file, path)) for file in files])
    return folders(path)


def _metadata(folder: Path) -> Path | None:
    """The table that Hugging Face's imagefolder, or the Waterbirds release, has in a folder."""
    return next((file for name in ("csv", "jsonl", "parquet") if (file := folder / f"metadata.{name}").is_file()), None)


def _split_of(file: Path, root: Path) -> str | None:
    """The split in the name of a Parquet file (train-00000-of-00004.parquet), or of its folders below ``root``."""
    names = [file.stem, file.stem.partition("-")[0], *file.relative_to(root).parts[:-1]]
    return next((split for name in names if (split := split_name(name))), None)


def _table(path: Path, *, split: str | None = None) -> LabelledImages:
    if path.suffix.lower() == ".parquet" and holds_images(path):
        return from_rows(parquet_rows(str(path), split=split), str(path))
    return from_table(read_table(path), path, split=split)


def _joined(parts: Sequence[LabelledImages]) -> LabelledImages:
    """Groups and splits are taken if all parts have them."""
    grouped, split = (all(getattr(part, name) is not None for part in parts) for name in ("groups", "splits"))
    return LabelledImages(
        [path for part in parts for path in part.paths],
        [label for part in parts for label in part.labels],
        [group for part in parts for group in part.groups or ()] if grouped else None,
        [name for part in parts for name in part.splits or ()] if split else None,
        left_out={row: reason for part in parts for row, reason in part.left_out.items()},
    )


def _unknown(source: object) -> str:
    return (
        f"{_shown(source)} is not labelled images. Give a folder with a folder for each class, or a .csv, .tsv, .jsonl or .parquet "
        f"file with the columns image and label, or a Hugging Face dataset: a folder that save_to_disk wrote, or {HUB}owner/name. In "
        "Python also a pandas table, a PyTorch dataset of (image, label), or a Hugging Face dataset in memory."
    )


def _shown(source: object) -> str:
    return str(source) if isinstance(source, str | Path) else f"A {type(source).__name__}"


def _is_saved_dataset(path: Path) -> bool:
    """Whether ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote this folder."""
    alone = all((path / name).is_file() for name in ("dataset_info.json", "state.json"))
    return alone or (path / "dataset_dict.json").is_file()


def _hugging_face(source: object, split: str | None) -> LabelledImages:
    try:
        from wordsight.images.hub import read_dataset
    except ImportError as error:
        raise LabelError(
            f"{_shown(source)} is a Hugging Face dataset, and the package datasets, which reads it, cannot be imported ({error}). "
            "Install it: pip install 'wordsight[datasets]'."
        ) from error
    return read_dataset(source, split=split)
