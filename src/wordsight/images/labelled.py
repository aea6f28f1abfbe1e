"""Labelled images, in whatever form people have them."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from wordsight.errors import LabelError
from wordsight.images.folders import folders
from wordsight.images.releases import backgrounds, variations, waterbirds
from wordsight.images.remote import is_remote, read_remote
from wordsight.images.sets import HUB, LabelledImages
from wordsight.images.sources import is_dataset, labelled_items
from wordsight.images.tables import from_table, read_table

__all__ = ["LabelledImages", "read_labelled"]


def read_labelled(source: object, *, split: str | None = None) -> LabelledImages:
    """Labelled images from what ``source`` is, all or those of one split.

    - A folder with a folder for each class: the folders' names are the labels. Splits (train, val, test or the like) are
      recognised above the classes and below them; see ``layout.places``. What may be both is refused.
    - A CSV, TSV or Parquet table with the columns image and label and, if there are, group and split. Images are relative to
      the table's folder. Or such a table in pandas, with paths or images.
    - The folder of the Backgrounds Challenge (ImageNet-9, Xiao et al. 2021): its variations (original, mixed_rand, ...) are
      the splits, its nine classes the labels.
    - The folder of the Waterbirds release (Sagawa et al. 2020), known by its metadata.csv: labels landbird and waterbird,
      groups land and water.
    - A Hugging Face dataset: in memory, a folder that ``save_to_disk`` wrote, or ``hf:owner/name`` or ``hf:owner/name:config``
      for one on the Hub. See ``hub.read_dataset``.
    - An address with ``://`` (a bucket, as fsspec reads it), WebDataset shards (``.tar``): see ``remote.read_remote``.
    - A PyTorch dataset or data loader with items (image, label), such as torchvision's ``ImageFolder``.
    - A ``LabelledImages``.

    Images in memory are written to the cache once, as PNG. Raises LabelError if the source is none of these or has no images.
    """
    found = _read(source, split)
    if not found.paths:
        raise LabelError(
            f"{_shown(source)} has no images. Give a folder with a folder of images for each class, or a table or dataset with rows."
        )
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
    path = Path(source)
    if str(source).startswith(HUB) or _is_saved_dataset(path):
        return _hugging_face(source, split)
    if path.is_dir():
        if (path / "metadata.csv").is_file():
            return waterbirds(path)
        return backgrounds(path) if variations(path) else folders(path)
    if path.suffix.lower() in (".csv", ".tsv", ".parquet") and path.is_file():
        return from_table(read_table(path), path)
    raise LabelError(_unknown(source))


def _unknown(source: object) -> str:
    return (
        f"{_shown(source)} is not labelled images. Give a folder with a folder for each class, or a .csv, .tsv or .parquet file "
        f"with the columns image and label, or a Hugging Face dataset: a folder that save_to_disk wrote, or {HUB}owner/name. In "
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
