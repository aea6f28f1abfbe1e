"""Extraction: every picture through the classifier once, kept in a store that survives interruption."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import ImageError, WordsightError
from wordsight.images.files import read_image, to_rgb
from wordsight.storage import read_stored, replacing
from wordsight.tensors import Views

ImageLike = str | Path | Image.Image
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
    pictures: Sequence[ImageLike],
    *,
    mirrored: bool = False,
    batch: int = 8,
    on_images: OnImages = lambda done, total: None,
) -> Extracted:
    """Features of pictures, one row of views each. With ``mirrored`` the mirror image's views follow the picture's own.

    A picture that cannot be read, or whose features are not finite, is left out and named in ``failures``.
    """
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

    Keyed by the classifier's weights and preparation and by the files' paths, sizes and times: a second call reads, an
    interrupted one goes on, and a changed classifier or file is extracted anew.
    """
    extracted = []
    for start in range(0, len(paths), part):
        here = paths[start : start + part]
        file = store / f"{_key(classifier, here, mirrored)}.safetensors"
        found = read_stored(file, _read_part)
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


def _prepared(
    classifier: Classifier, pictures: Sequence[ImageLike], mirrored: bool
) -> Iterator[tuple[int, Tensor | ImageError]]:
    """Pictures as pixels, in order, decoded ahead in two threads."""

    def prepare(picture: ImageLike) -> Tensor | ImageError:
        try:
            image = open_rgb(picture)
        except ImageError as error:
            return error
        try:
            own = classifier.prepare(image)
            return torch.cat([own, classifier.prepare(ImageOps.mirror(image))]) if mirrored else own
        except WordsightError:
            raise
        except Exception as error:  # the preparation may be the user's code: one picture must not end the run
            return ImageError(
                f"the preparation of '{classifier.name}' failed on it ({type(error).__name__}: {error}), wanted pixels; look "
                "at the picture's size, or at the prepare function."
            )

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


def open_rgb(picture: ImageLike) -> Image.Image:
    """A picture in RGB, as the classifier's preparation gets it. Raises ImageError if it cannot be read."""
    return _not_too_long(to_rgb(picture) if isinstance(picture, Image.Image) else read_image(picture))


def _not_too_long(image: Image.Image, most: int = 8) -> Image.Image:
    """The middle of a picture that is over ``most`` times as long as wide.

    Classifiers enlarge the short side to a few hundred pixels and cut out the middle: a strip of 1 x 5,000 pixels would take
    gigabytes on the way to the same crop.
    """
    width, height = image.size
    across, down = min(width, most * height), min(height, most * width)
    if (across, down) == (width, height):
        return image
    left, upper = (width - across) // 2, (height - down) // 2
    return image.crop((left, upper, left + across, upper + down))


def _key(classifier: Classifier, paths: Sequence[Path], mirrored: bool) -> str:
    digest = hashlib.sha256(f"{classifier.name} {classifier.fingerprint} {mirrored}".encode())
    digest.update(classifier.prepare(_probe()).numpy().tobytes())  # other crops of the same picture are other features
    for path in paths:
        known = path.stat() if path.exists() else None
        digest.update(f"{path.resolve()} {known and (known.st_size, known.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:32]


@cache
def _probe() -> Image.Image:
    """A picture without symmetry, on which two preparations that differ give different pixels."""
    return Image.effect_mandelbrot((320, 260), (-2.1, -1.1, 0.7, 1.3), 40).convert("RGB")


def _read_part(file: Path) -> Extracted:
    with safe_open(file, "pt") as opened:
        about = json.loads(opened.metadata()["wordsight"])
        return Extracted(opened.get_tensor("views"), about["kept"], {int(i): r for i, r in about["failures"].items()})


def _write_part(file: Path, part: Extracted) -> None:
    about = json.dumps({"kept": part.kept, "failures": part.failures})
    with replacing(file) as partial:
        save_file({"views": part.views.contiguous()}, partial, metadata={"wordsight": about})
