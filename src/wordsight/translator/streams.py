"""Captioned images in WebDataset shards, for sets that neither disk nor memory should hold: millions of pairs.

A shard is read once, from front to back, wherever it lies (fsspec's addresses). Its features are stored in a file of its own, so that
an interrupted run goes on at the next shard; together they are one file that training reads from disk as it needs them.
"""

import hashlib
import io
import json
import logging
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import CaptionError, ImageError
from wordsight.features.extraction import OnImages, extract, extraction_key
from wordsight.images.files import EXTENSIONS
from wordsight.images.remote import shard_addresses
from wordsight.storage import cache_needed, read_stored, replacing
from wordsight.translator.captions import tidy_caption

logger = logging.getLogger(__name__)

#: Images of a shard that are in memory at a time.
_TOGETHER = 64


@dataclass(frozen=True)
class Shard:
    """What a shard's file of features says without its features: names, captions, and the images that were left out."""

    file: Path
    names: list[str]
    captions: list[list[str]]
    failures: dict[str, str]


def store_shards(
    source: str,
    classifier: Classifier,
    folder: Path,
    *,
    own: slice = slice(None),
    on_images: OnImages = lambda done, total: None,
) -> None:
    """Features of the images in WebDataset shards (with their mirror images'), a file for each shard in ``folder``.

    ``source``: ``.tar``, several by braces or a pattern. A sample has an image, and its captions in ``.txt`` (one a line) or as
    ``caption`` or ``captions`` of its ``.json``. ``own``: those of the shards that this process does. What is there is not done
    again. Raises CaptionError for shards that cannot be read.
    """
    done = 0
    for address, file in _files(source, classifier, folder)[own]:
        if read_stored(file, _read) is None:
            done = _store(address, file, classifier, done, on_images)


def read_shards(source: str, classifier: Classifier, folder: Path) -> list[Shard]:
    """The shards that ``store_shards`` stored. Raises CaptionError if they have no captioned image."""
    shards = [_read(file) for _, file in _files(source, classifier, folder)]
    if not any(shard.names for shard in shards):
        reason = next((f" The first: {reason}" for shard in shards for reason in shard.failures.values()), "")
        raise CaptionError(f"None of the samples in the {len(shards)} shards of {source} has an image and a caption.{reason}")
    return shards


def views_on_disk(shards: Sequence[Shard], order: Sequence[int], file: Path) -> Tensor:
    """The features of the shards' images, in this order, as a tensor whose memory is ``file``: (images, views, features).

    The file is made if it is not there; the system keeps as much of it in memory as there is room for.
    """
    with safe_open(next(shard.file for shard in shards if shard.names), "pt") as first:
        shape = first.get_slice("views").get_shape()[1:]
    size = len(order) * shape[0] * shape[1]
    if not file.is_file() or file.stat().st_size != 4 * size:
        place = torch.empty(len(order), dtype=torch.long)
        place[torch.tensor(order)] = torch.arange(len(order))
        with cache_needed(), replacing(file) as partial:
            _reserve(partial, 4 * size)
            views, start = _mapped(partial, size).view(-1, *shape), 0
            for shard in shards:
                if shard.names:
                    with safe_open(shard.file, "pt") as stored:
                        views[place[start : start + len(shard.names)]] = stored.get_tensor("views")
                start += len(shard.names)
            del views
    return _mapped(file, size).view(-1, *shape)


def _reserve(file: Path, size: int) -> None:
    """Raise OSError now if the disk has no room for so many bytes: writing to a map of them would end the process."""
    if size and hasattr(os, "posix_fallocate"):  # not on macOS
        with file.open("wb") as made:
            os.posix_fallocate(made.fileno(), 0, size)


def _mapped(file: Path, size: int) -> Tensor:
    return torch.from_file(str(file), shared=True, size=size, dtype=torch.float32)


def _files(source: str, classifier: Classifier, folder: Path) -> list[tuple[str, Path]]:
    """The address of each shard and the file of its features."""
    try:
        addresses = shard_addresses(source)
    except (OSError, ImportError, ValueError) as error:
        raise CaptionError(
            f"The shards {source} cannot be listed ({type(error).__name__}: {error}). Wanted .tar files of WebDataset, several by "
            "braces or a pattern; look at the address."
        ) from error
    key = extraction_key(classifier, mirrored=True)
    about = [f"{key} {address} {size}".encode(errors="surrogateescape") for address, size in addresses]
    return [
        (address, folder / f"{hashlib.sha256(text).hexdigest()[:32]}.safetensors")
        for (address, _), text in zip(addresses, about, strict=True)
    ]


def _store(address: str, file: Path, classifier: Classifier, done: int, on_images: OnImages) -> int:
    parts: list[Tensor] = []
    names: list[str] = []
    captions: list[list[str]] = []
    failures: dict[str, str] = {}
    samples = _samples(address)
    while batch := list(islice(samples, _TOGETHER)):
        found = extract(classifier, [image for _, image, _ in batch], mirrored=True)
        parts.append(found.views)
        names += [batch[row][0] for row in found.readable]
        captions += [batch[row][2] for row in found.readable]
        failures |= {batch[row][0]: reason for row, reason in found.failures.items()}
        done += len(batch)
        on_images(done, done)
    views = torch.cat([part for part in parts if len(part)]) if names else torch.empty(0, 1, classifier.features)
    about = json.dumps({"names": names, "captions": captions, "failures": failures})
    with cache_needed(), replacing(file) as partial:
        save_file({"views": views.contiguous()}, partial, metadata={"wordsight": about})
    return done


def _read(file: Path) -> Shard:
    with safe_open(file, "pt") as stored:
        return Shard(file, **json.loads(stored.metadata()["wordsight"]))


def _samples(address: str) -> Iterator[tuple[str, Image.Image | ImageError, list[str]]]:
    """The samples that have a caption: name, image, captions."""
    try:
        from webdataset.tariterators import group_by_keys, tar_file_iterator
    except ImportError as error:
        raise CaptionError(
            f"{address} needs the package webdataset ({error}). Install it: pip install 'wordsight[webdataset]'."
        ) from error
    without = 0
    try:
        with fsspec.open(address, "rb") as stream:
            members = ({**member, "__url__": address} for member in tar_file_iterator(stream))  # pyright: ignore[reportArgumentType]
            for sample in group_by_keys(members):
                image = next((value for kind, value in sample.items() if f".{kind}" in EXTENSIONS), None)
                captions = [caption for text in _texts(sample) if (caption := tidy_caption(text))]
                if image is None or not captions:
                    without += 1
                    continue
                yield f"{sample['__key__']}", _opened(image), captions
    except (OSError, ValueError, tarfile.TarError) as error:
        raise CaptionError(
            f"The shard {address} cannot be read ({type(error).__name__}: {error}). Wanted a .tar file of WebDataset; copy it again."
        ) from error
    if without:
        logger.warning("%d samples of %s have no image or no caption and are left out", without, address)


def _texts(sample: dict[str, Any]) -> list[str]:
    if "txt" in sample:
        return sample["txt"].decode(errors="replace").splitlines()
    try:
        about = json.loads(sample.get("json", b"{}"))
    except (ValueError, RecursionError):  # counted with the samples that have no caption
        return []
    found = [about.get("caption"), *_listed(about.get("captions"))] if isinstance(about, dict) else []
    return [caption for caption in found if isinstance(caption, str)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _opened(content: bytes) -> Image.Image | ImageError:
    try:
        return Image.open(io.BytesIO(content))
    except Exception as error:  # as in images.files: Pillow raises nearly everything on damaged files
        return ImageError(f"it cannot be decoded ({type(error).__name__}); leave it out or make the shard again")
