"""Labelled images in buckets, WebDataset shards and Parquet files, read where they lie when they are needed: nothing is copied.

Addresses are those of fsspec: ``s3://bucket/...`` and ``gs://...`` (with s3fs or gcsfs installed), ``memory://``, ``file://``.
"""

import json
import logging
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import fsspec

from wordsight.errors import LabelError
from wordsight.images.files import EXTENSIONS, is_ignored
from wordsight.images.layout import places
from wordsight.images.parquet import parquet_rows
from wordsight.images.sets import HUB, LabelledImages, Row, from_rows, text_of
from wordsight.images.stored import StoredImage

logger = logging.getLogger(__name__)

#: Shards whose contents are listed at a time.
_AT_ONCE = 16


def is_remote(source: object) -> bool:
    """Whether ``read_remote`` reads this: an address with ``://``, or WebDataset shards (.tar)."""
    text = str(source)
    return ("://" in text and not text.startswith(HUB)) or text.lower().endswith(".tar")


def read_remote(source: str) -> LabelledImages:
    """Labelled images at an address of fsspec.

    - A folder with a folder for each class, or such folders in folders named train, val and test.
    - WebDataset shards: ``.tar``, several by braces or a pattern (``shard-{000..099}.tar``). A sample's label is its ``.cls`` or
      the field label of its ``.json``, as text; the field group of its ``.json`` is its group.
    - Parquet files with the columns image (bytes, or a struct with bytes, as Hugging Face writes) and label, and if there is
      group; class names of Hugging Face are taken.

    Images are listed now and read when they are needed. Raises LabelError if there is nothing of that kind.
    """
    try:
        if source.lower().endswith(".tar"):
            return _all(source, _in_shard)
        if source.lower().endswith(".parquet"):
            return _all(source, parquet_rows)
        return _in_folders(source)
    except (OSError, ImportError, tarfile.TarError, ValueError) as error:
        raise LabelError(
            f"{source} cannot be read ({type(error).__name__}: {error}). Wanted a folder with a folder of images for each class, "
            ".tar shards of WebDataset, or .parquet files; look at the address, and whether fsspec's package for it is installed "
            "(s3fs for s3://, gcsfs for gs://)."
        ) from error


def shard_addresses(source: str) -> list[tuple[str, int]]:
    """The address and the size in bytes of each file that ``source`` names, several by braces or a pattern.

    Raises FileNotFoundError if there is none.
    """
    found = [address for one in _braces(source) for address in _matching(one)]
    if not found:
        raise FileNotFoundError("no file has this name")
    return [(address, filesystem.size(path)) for address in found for filesystem, path in [fsspec.core.url_to_fs(address)]]


def _all(source: str, listed: Callable[[str], Iterable[Row]]) -> LabelledImages:
    files = [address for address, _ in shard_addresses(source)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows = [row for rows in pool.map(lambda file: list(listed(file)), files) for row in rows]
    if any(row.group is None for row in rows):  # a field of some samples only
        rows = [replace(row, group=None) for row in rows]
    return from_rows(rows, source)


def _braces(source: str) -> Iterable[str]:
    if "{" not in source:
        return [source]
    from braceexpand import braceexpand

    return braceexpand(source)


def _matching(address: str) -> list[str]:
    filesystem, path = fsspec.core.url_to_fs(address)
    paths = sorted(filesystem.glob(path)) if "*" in path or "?" in path else [path] if filesystem.exists(path) else []
    return [filesystem.unstrip_protocol(path) for path in map(str, paths)]


def _in_folders(source: str) -> LabelledImages:
    filesystem, root = fsspec.core.url_to_fs(source)
    root = root.rstrip("/")
    found = [str(path) for path in sorted(filesystem.find(root)) if PurePosixPath(str(path)).suffix.lower() in EXTENSIONS]
    parts = [tuple(path[len(root) :].strip("/").split("/")) for path in found]
    kept = [row for row, own in enumerate(parts) if not any(is_ignored(name) for name in own)]
    labelled = [
        (row, place) for row, place in zip(kept, places([parts[row] for row in kept], source), strict=True) if place is not None
    ]
    if not labelled:
        raise ValueError(f"{len(found)} images are there, {sum(len(own) < 2 for own in parts)} of them in no folder of a class")
    if astray := len(kept) - len(labelled):
        logger.warning("%d images of %s lie in no class's folder and are left out", astray, source)
    splits = [place.split for _, place in labelled if place.split is not None]
    return LabelledImages(
        [
            StoredImage("/".join((source.rstrip("/"), *parts[row])), file=filesystem.unstrip_protocol(found[row]))
            for row, _ in labelled
        ],
        [place.label for _, place in labelled],
        splits=splits if splits else None,
    )


def _in_shard(file: str) -> Iterator[Row]:
    """The samples of a WebDataset shard: members of the same name up to the first dot."""
    samples: dict[str, dict[str, Any]] = {}
    with fsspec.open(file, "rb") as stream, tarfile.open(fileobj=stream) as shard:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for member in shard:
            folder, _, name = member.name.rpartition("/")
            key, _, kind = name.partition(".")
            if not member.isfile() or name.startswith("."):
                continue
            sample = samples.setdefault(f"{folder}/{key}", {})
            if f".{kind.lower()}" in EXTENSIONS:
                sample["image"] = StoredImage(f"{file}/{member.name}", file=file, first=member.offset_data, size=member.size)
            elif kind in ("cls", "json"):
                content = shard.extractfile(member)
                sample |= _about(kind, b"" if content is None else content.read())
    for key, sample in samples.items():
        if "image" not in sample:
            continue
        yield Row(f"The sample '{key}' of {file}", sample["image"], text_of(sample.get("label")), text_of(sample.get("group")))


def _about(kind: str, content: bytes) -> dict[str, Any]:
    """What a sample's ``.cls`` or ``.json`` says; nothing if it cannot be read, so that the sample is named for what it lacks."""
    try:
        text = content.decode()
        found = {"label": text.strip()} if kind == "cls" else json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: found[name] for name in ("label", "group") if name in found} if isinstance(found, dict) else {}
