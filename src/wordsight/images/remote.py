"""Labelled images in buckets, WebDataset shards and Parquet files, read where they lie when they are needed: nothing is copied.

Addresses are those of fsspec: ``s3://bucket/...`` and ``gs://...`` (with s3fs or gcsfs installed), ``memory://``, ``file://``.
"""

import functools
import io
import json
import logging
import sys
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from wordsight.errors import LabelError
from wordsight.images.files import EXTENSIONS, is_ignored
from wordsight.images.layout import places
from wordsight.images.sets import HUB, LabelledImages

logger = logging.getLogger(__name__)

#: Shards whose contents are listed at a time.
_AT_ONCE = 16


class StoredImage(type(Path())):
    """The path of an image that is no file of its own here: bytes ``first`` to ``first + size`` of a file at an address, or a row
    of a Parquet file, or a whole file elsewhere. It opens and reads as a path does; ``name`` is the image's own.
    """

    def __new__(cls, address: str, *, file: str, first: int | None = None, size: int | None = None) -> "StoredImage":
        """``address``: what people read. ``first`` without ``size``: a row."""
        return super().__new__(cls, address)

    def __init__(self, address: str, *, file: str, first: int | None = None, size: int | None = None) -> None:
        if sys.version_info >= (3, 12):
            super().__init__(address)
        self.place = {"file": file, "first": first, "size": size}

    def with_segments(self, *segments: str) -> Path:
        """Folders of it are plain paths."""
        return Path(*segments)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(StoredImage, **self.place), (str(self),)

    def resolve(self, strict: bool = False) -> "StoredImage":
        """Itself."""
        return self

    def is_file(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """True: the listing had it."""
        return True

    def open(self, mode: str = "rb", *_args: Any, **_options: Any) -> io.BytesIO:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Its bytes, as a file in memory. Raises OSError if they cannot be had."""
        if mode != "rb":
            raise ValueError(f"mode is '{mode}', wanted 'rb': {self} can only be read.")
        return io.BytesIO(_bytes(**self.place))


def _bytes(file: str, first: int | None, size: int | None) -> bytes:
    try:
        if first is not None and size is None:
            return _parquet_images(file)[first]
        with fsspec.open(file, "rb") as stream:
            if first is None:
                return stream.read()  # pyright: ignore[reportAttributeAccessIssue]
            stream.seek(first)  # pyright: ignore[reportAttributeAccessIssue]
            return stream.read(size)  # pyright: ignore[reportAttributeAccessIssue]
    except OSError:
        raise
    except Exception as error:  # the client libraries of buckets have errors of their own
        raise OSError(f"{type(error).__name__}: {error}") from error


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
            return _all(source, _in_parquet)
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


_Row = tuple[StoredImage, str, str | None]
"""An image, its label, its group."""


def _all(source: str, listed: Any) -> LabelledImages:
    files = [address for address, _ in shard_addresses(source)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows: list[_Row] = [row for rows in pool.map(lambda file: list(listed(file)), files) for row in rows]
    groups = [group for _, _, group in rows]
    known = [group for group in groups if group is not None]
    return LabelledImages(
        [path for path, _, _ in rows], [label for _, label, _ in rows], known if len(known) == len(rows) else None
    )


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


def _in_shard(file: str) -> Iterator[_Row]:
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
                text = content.read().decode() if content is not None else ""
                sample |= {"label": text.strip()} if kind == "cls" else json.loads(text)
    for key, sample in samples.items():
        if "image" not in sample:
            continue
        if "label" not in sample:
            raise LabelError(f"The sample '{key}' of {file} has no label. Wanted its label in a .cls, or as label in a .json.")
        yield sample["image"], str(sample["label"]), None if sample.get("group") is None else str(sample["group"])


def _in_parquet(file: str) -> Iterator[_Row]:
    parquet = _pyarrow(file)
    with fsspec.open(file, "rb") as stream:
        table = parquet.ParquetFile(stream)
        columns = table.schema_arrow.names
        if "image" not in columns or "label" not in columns:
            raise LabelError(f"{file} has the columns {', '.join(columns)}. Wanted image and label, and if you like group.")
        rest = table.read(columns=[name for name in ("label", "group") if name in columns]).to_pydict()
        about = json.loads((table.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
    names = about.get("info", {}).get("features", {}).get("label", {}).get("names")
    for row, label in enumerate(rest["label"]):
        group = rest["group"][row] if "group" in rest else None
        shown = str(names[label]) if names else str(label)
        yield StoredImage(f"{file}/{row}", file=file, first=row), shown, None if group is None else str(group)


@functools.lru_cache(maxsize=2)
def _parquet_images(file: str) -> list[bytes]:
    """The images of a file: neighbours are asked for one after the other."""
    with fsspec.open(file, "rb") as stream:
        values = _pyarrow(file).read_table(stream, columns=["image"])["image"].to_pylist()
    return [value["bytes"] if isinstance(value, dict) else value for value in values]


def _pyarrow(file: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise LabelError(
            f"{file} needs the package pyarrow ({error}). Install it: pip install 'wordsight[parquet]'."
        ) from error
    return pyarrow.parquet
