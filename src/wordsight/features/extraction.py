"""Extraction: every image through the classifier once, in a store that survives interruption."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.engines import LOCAL, Engine
from wordsight.errors import ImageError, WordsightError
from wordsight.features.store import FeatureStore, content_digests
from wordsight.images.files import read_image, to_rgb
from wordsight.images.sources import ImageLike
from wordsight.tensors import Views

OnImages = Callable[[int, int], None]
"""Called with the number of images done and of all."""


@dataclass(frozen=True)
class Extracted:
    """Features of the images that could be read.

    ``readable``: their numbers, in order; ``failures``: the others, with reasons. ``digests``: SHA-256 of the content of each image
    in ``readable``; empty where images were not read from a store.
    """

    views: Views
    readable: list[int]
    failures: dict[int, str]
    digests: list[str] = field(default_factory=list)


def extract(
    classifier: Classifier,
    images: Sequence[ImageLike | ImageError],
    *,
    mirrored: bool = False,
    batch: int = 8,
    on_images: OnImages = lambda done, total: None,
) -> Extracted:
    """Features of images, one row of views each. With ``mirrored`` the mirror image's views follow the image's own.

    An image that cannot be read (also: an ImageError in its place), or whose features are not finite, is left out and named in
    ``failures``.
    """
    readable: list[int] = []
    rows: list[Tensor] = []
    failures: dict[int, str] = {}

    def run(chunk: list[tuple[int, Tensor]]) -> None:
        if len({pixels.shape for _, pixels in chunk}) > 1:  # a transform that keeps sizes: one by one
            for one in chunk:
                run([one])
            return
        z = classifier.features_of(torch.stack([pixels for _, pixels in chunk]))
        for (i, _), row in zip(chunk, z, strict=True):
            if row.isfinite().all():
                readable.append(i)
                rows.append(row)
            else:
                failures[i] = "its features are not finite (NaN or infinite); check the classifier's weights and input range"

    chunk: list[tuple[int, Tensor]] = []
    for i, pixels in _prepared(classifier, images, mirrored):
        if isinstance(pixels, ImageError):
            failures[i] = str(pixels)
        else:
            chunk.append((i, pixels))
        if len(chunk) == batch:
            run(chunk)
            chunk = []
        on_images(i + 1, len(images))
    if chunk:
        run(chunk)
    return _of_equal_views(rows, readable, failures, classifier.features)


def _of_equal_views(
    rows: Sequence[Tensor], images: Sequence[int], failures: dict[int, str], features: int, digests: Sequence[str] = ()
) -> Extracted:
    """The features of the images (by number) of which the transform makes as many views as of most; the others are failures."""
    if not rows:
        return Extracted(torch.empty(0, 1, features), [], failures)
    usual = Counter(len(row) for row in rows).most_common(1)[0][0]
    alike = [number for number, row in enumerate(rows) if len(row) == usual]
    odd = {
        image: f"the transform made {len(row)} views of it, and {usual} of most images; wanted equally many of each"
        for image, row in zip(images, rows, strict=True)
        if len(row) != usual
    }
    return Extracted(
        torch.stack([rows[number] for number in alike]),
        [images[number] for number in alike],
        failures | odd,
        [digests[number] for number in alike] if digests else [],
    )


def extract_stored(
    classifier: Classifier,
    paths: Sequence[Path],
    store: Path,
    *,
    mirrored: bool = False,
    engine: Engine = LOCAL,
    on_images: OnImages = lambda done, total: None,
) -> Extracted:
    """Like ``extract``, with a store in the folder ``store`` (see ``store.FeatureStore``), one image at a time.

    ``engine``: where images are read and extracted; this process keeps the store.


    Keyed by the classifier's weights and preparation and by each image's content: a second call reads, an interrupted one goes
    on, one more image costs one image, and identical images are extracted once. Failures are not stored, so they are tried again.
    """
    digests = _digests(paths, engine)
    with FeatureStore(store, extraction_key(classifier, mirrored)) as stored:
        found = stored.read({digest for digest in digests if digest})
        first: dict[str, int] = {}
        for i, digest in enumerate(digests):
            if digest is None or digest not in found:
                first.setdefault(digest or f"unreadable {i}", i)
        todo = list(first.values())
        reasons: dict[str | int, str] = {}
        chunks = [todo[start : start + _WRITE_EVERY] for start in range(0, len(todo), _WRITE_EVERY)]
        done = len(paths) - len(todo)

        def on_chunk(number: int, _: int) -> None:
            on_images(done + number, len(paths))

        work = partial(extract, classifier, mirrored=mirrored, **({"on_images": on_chunk} if engine.here else {}))
        for number, extracted in engine.run(work, [[paths[i] for i in chunk] for chunk in chunks]):
            chunk = chunks[number]
            done += len(chunk)
            rows = {digests[chunk[row]]: views for row, views in zip(extracted.readable, extracted.views, strict=True)}
            fresh = {digest: views for digest, views in rows.items() if digest}
            stored.write(fresh)
            found |= fresh
            reasons |= {digests[chunk[row]] or chunk[row]: reason for row, reason in extracted.failures.items()}
            on_images(done, len(paths))
    on_images(len(paths), len(paths))
    readable = [i for i, digest in enumerate(digests) if digest is not None and digest in found]
    failures = {i: reasons[digest or i] for i, digest in enumerate(digests) if digest is None or digest not in found}
    in_order = [digest for i in readable if (digest := digests[i]) is not None]
    return _of_equal_views([found[digest] for digest in in_order], readable, failures, classifier.features, in_order)


#: Images that are extracted between two writes to the store, and whose content is looked at together by other processes.
_WRITE_EVERY, _DIGESTS_TOGETHER = 64, 1024


def _digests(paths: Sequence[Path], engine: Engine) -> list[str | None]:
    if engine.here:
        return content_digests(paths)
    parts = [paths[start : start + _DIGESTS_TOGETHER] for start in range(0, len(paths), _DIGESTS_TOGETHER)]
    found = dict(engine.run(content_digests, parts))
    return [digest for number in range(len(parts)) for digest in found[number]]


def _prepared(
    classifier: Classifier, images: Sequence[ImageLike | ImageError], mirrored: bool
) -> Iterator[tuple[int, Tensor | ImageError]]:
    """Images as pixels, in order, decoded ahead in two threads."""

    def prepare(source: ImageLike | ImageError) -> Tensor | ImageError:
        if isinstance(source, ImageError):
            return source
        try:
            image = open_rgb(source)
        except ImageError as error:
            return error
        try:
            own = classifier.prepare(image)
            return torch.cat([own, classifier.prepare(ImageOps.mirror(image))]) if mirrored else own
        except WordsightError:
            raise
        except Exception as error:  # the preparation may be the user's code: one image must not end the run
            return ImageError(
                f"the transform of '{classifier.name}' failed on it ({type(error).__name__}: {error}), wanted pixels; look "
                "at the image's size, or at the transform."
            )

    with ThreadPoolExecutor(2) as pool:
        waiting: deque[Future] = deque()
        done = 0
        for image in images:
            waiting.append(pool.submit(prepare, image))
            if len(waiting) > 32:
                yield done, waiting.popleft().result()
                done += 1
        while waiting:
            yield done, waiting.popleft().result()
            done += 1


def open_rgb(source: ImageLike) -> Image.Image:
    """An image in RGB, as the classifier's preparation gets it. Raises ImageError if it cannot be read."""
    return _not_too_long(to_rgb(source) if isinstance(source, Image.Image) else read_image(source))


def _not_too_long(image: Image.Image, limit: int = 8) -> Image.Image:
    """The middle of an image that is over ``limit`` times as long as wide.

    Classifiers enlarge the short side to a few hundred pixels and cut out the middle: a strip of 1 x 5,000 pixels would take
    gigabytes on the way to the same crop.
    """
    width, height = image.size
    across, down = min(width, limit * height), min(height, limit * width)
    if (across, down) == (width, height):
        return image
    left, upper = (width - across) // 2, (height - down) // 2
    return image.crop((left, upper, left + across, upper + down))


def extraction_key(classifier: Classifier, mirrored: bool) -> str:
    """What stands for everything that decides an image's features but the image."""
    digest = hashlib.sha256(f"{classifier.fingerprint} {mirrored}".encode())
    digest.update(classifier.prepare(_probe()).numpy().tobytes())  # other crops of the same image are other features
    return digest.hexdigest()[:32]


@cache
def _probe() -> Image.Image:
    """An image without symmetry, on which two preparations that differ give different pixels."""
    return Image.effect_mandelbrot((320, 260), (-2.1, -1.1, 0.7, 1.3), 40).convert("RGB")
