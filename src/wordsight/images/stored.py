"""Images that are no files of their own: in a bucket, in a shard, in a row of a Parquet file."""

import functools
import io
import sys
from pathlib import Path
from typing import Any

import fsspec

from wordsight.errors import LabelError
from wordsight.images.columns import columns_of


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
        self.shown = file if first is None else address  # a path has one slash where an address has two

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
            return _in_row(file, first)
        with fsspec.open(file, "rb") as stream:
            if first is None:
                return stream.read()  # pyright: ignore[reportAttributeAccessIssue]
            stream.seek(first)  # pyright: ignore[reportAttributeAccessIssue]
            return stream.read(size)  # pyright: ignore[reportAttributeAccessIssue]
    except OSError:
        raise
    except Exception as error:  # the client libraries of buckets have errors of their own
        raise OSError(f"{type(error).__name__}: {error}") from error


def _in_row(file: str, row: int) -> bytes:
    value = _parquet_images(file)[row]
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if content is None and path:
        with fsspec.open(f"{file.rpartition('/')[0] or '.'}/{path}", "rb") as stream:
            return stream.read()  # pyright: ignore[reportAttributeAccessIssue]
    return content or b""


@functools.lru_cache(maxsize=2)
def _parquet_images(file: str) -> list[Any]:
    """The images of a file: neighbours are asked for one after the other."""
    with fsspec.open(file, "rb") as stream:
        table = pyarrow_parquet(file).ParquetFile(stream)
        column = columns_of(table.schema_arrow.names, file)["image"]
        return table.read(columns=[column])[column].to_pylist()


def pyarrow_parquet(file: str) -> Any:
    """The module ``pyarrow.parquet``. Raises LabelError, which says what to install, without it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise LabelError(
            f"{file} needs the package pyarrow ({error}). Install it: pip install 'wordsight[parquet]'."
        ) from error
    return pyarrow.parquet
