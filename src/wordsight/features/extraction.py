"""Extraction: every picture through the classifier once, kept in a store that survives interruption."""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from wordsight.errors import FeatureError, ImageError
from wordsight.features.classifier import Classifier
from wordsight.images.files import read_image, to_rgb
from wordsight.machine import keep_freed_memory
from wordsight.tensors import Views

logger = logging.getLogger(__name__)

Picture = str | Path | Image.Image
OnImages = Callable[[int, int], None]
"""Called with the number of images done and of all."""


@dataclass(frozen=True)
class Extracted:
    """Features of the pictures that could be read: ``kept`` are their positions; ``failures`` the others, with reasons."""

    views: Views
    kept: list[int]
    failures: dict[int, str]


def extract(
    classifier: Classifier,
    pictures: Sequence[Picture],
    *,
    mirrored: bool = False,
    batch: int = 8,
    on_images: OnImages = lambda done, total: None,
) -> Extracted:
    """Features of pictures, one row of views each. With ``mirrored`` the mirror image's views follow the picture's own.

    A picture that cannot be read, or whose features are not finite, is left out and named in ``failures``.
    """
    keep_freed_memory()
    kept: list[int] = []
    rows: list[Tensor] = []
    failures: dict[int, str] = {}

    def run(chunk: list[tuple[int, Tensor]]) -> None:
        z = classifier.features_of(torch.stack([pixels for _, pixels in chunk]))
        for (i, _), row in zip(chunk, z, strict=True):
            if row.isfinite().all():
                kept.append(i)
                rows.append(row)
            else:
                failures[i] = "its features are not finite (NaN or infinite); check the classifier's weights and input range"

    chunk: list[tuple[int, Tensor]] = []
    for i, pixels in _prepared(classifier, pictures, mirrored):
        if isinstance(pixels, ImageError):
            failures[i] = str(pixels)
        else:
            chunk.append((i, pixels))
        if len(chunk) == batch:
            run(chunk)
            chunk = []
        on_images(i + 1, len(pictures))
    if chunk:
        run(chunk)
    views = torch.stack(rows) if rows else torch.empty(0, 1, classifier.features)
    return Extracted(views, kept, failures)


def extract_stored(
    classifier: Classifier,
    paths: Sequence[Path],
    store: Path,
    *,
    mirrored: bool = False,
    part: int = 512,
    on_images: OnImages = lambda done, total: None,
) -> Extracted:
    """Like ``extract``, kept in ``store``: a safetensors file for every ``part`` images, written as it goes.

    Keyed by the classifier's weights and by the files' paths, sizes and times: a second call reads, an interrupted one goes
    on, and a changed classifier or file is extracted anew.
    """
    extracted = []
    for start in range(0, len(paths), part):
        here = paths[start : start + part]
        file = store / f"{_key(classifier, here, mirrored)}.safetensors"
        found = _read_part(file)
        if found is None:
            found = extract(
                classifier,
                here,
                mirrored=mirrored,
                on_images=lambda done, _, start=start: on_images(start + done, len(paths)),
            )
            _write_part(file, found)
        on_images(start + len(here), len(paths))
        extracted.append((start, found))
    views = [found.views for _, found in extracted if found.kept]
    return Extracted(
        torch.cat(views) if views else torch.empty(0, 1, classifier.features),
        [start + i for start, found in extracted for i in found.kept],
        {start + i: reason for start, found in extracted for i, reason in found.failures.items()},
    )


def _prepared(classifier: Classifier, pictures: Sequence[Picture], mirrored: bool) -> Iterator[tuple[int, Tensor | ImageError]]:
    """Pictures as pixels, in order, decoded ahead in two threads."""

    def prepare(picture: Picture) -> Tensor | ImageError:
        try:
            image = to_rgb(picture) if isinstance(picture, Image.Image) else read_image(picture)
        except ImageError as error:
            return error
        own = classifier.prepare(image)
        return torch.cat([own, classifier.prepare(ImageOps.mirror(image))]) if mirrored else own

    with ThreadPoolExecutor(2) as pool:
        waiting: deque[Future] = deque()
        done = 0
        for picture in pictures:
            waiting.append(pool.submit(prepare, picture))
            if len(waiting) > 32:
                yield done, waiting.popleft().result()
                done += 1
        while waiting:
            yield done, waiting.popleft().result()
            done += 1


def _key(classifier: Classifier, paths: Sequence[Path], mirrored: bool) -> str:
    digest = hashlib.sha256(f"{classifier.name} {classifier.fingerprint} {mirrored}".encode())
    for path in paths:
        known = path.stat() if path.exists() else None
        digest.update(f"{path.resolve()} {known and (known.st_size, known.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:32]


def _read_part(file: Path) -> Extracted | None:
    if not file.exists():
        return None
    with safe_open(file, "pt") as opened:
        about = json.loads(opened.metadata()["wordsight"])
        return Extracted(opened.get_tensor("views"), about["kept"], {int(i): r for i, r in about["failures"].items()})


def _write_part(file: Path, part: Extracted) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    about = json.dumps({"kept": part.kept, "failures": part.failures})
    save_file({"views": part.views.contiguous()}, partial, metadata={"wordsight": about})
    partial.replace(file)


def check_finite(z: Tensor) -> None:
    """Raise FeatureError if features hold NaN or infinity."""
    if not bool(z.isfinite().all()):
        bad = int((~z.isfinite().flatten(1).all(1)).sum())
        raise FeatureError(
            f"The features of {bad} of {len(z)} images are NaN or infinite, wanted finite numbers. Extract them again; if they "
            "stay so, look for overflow in the classifier."
        )
