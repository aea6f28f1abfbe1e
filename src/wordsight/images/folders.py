"""Labelled images in folders."""

import logging
from collections import Counter
from pathlib import Path

from wordsight.images.files import images_in, is_ignored
from wordsight.images.layout import places
from wordsight.images.sets import LabelledImages

logger = logging.getLogger(__name__)


def folders(path: Path) -> LabelledImages:
    """The images of a folder, labelled by their folders as ``layout.places`` says. What is left out is named in the log."""
    tops = sorted(top for top in path.iterdir() if top.is_dir() and not is_ignored(top.name))
    by_top = {top: images_in(str(top)) for top in tops}
    for top in (top for top, own in by_top.items() if not own):
        logger.warning("%s has no images (%s) and is left out", top, _contents(top))
    images = [image for own in by_top.values() for image in own]
    parts = [image.relative_to(path).parts for image in images]
    found = places(parts, str(path))
    if astray := [str(image) for image, place in zip(images, found, strict=True) if place is None]:
        logger.warning("%d images lie in no class's folder and are left out; the first: %s", len(astray), astray[0])
    labelled = [(image, place) for image, place in zip(images, found, strict=True) if place is not None]
    splits = [place.split for _, place in labelled if place.split is not None]
    return LabelledImages(
        [image for image, _ in labelled], [place.label for _, place in labelled], splits=splits if splits else None
    )


def _contents(folder: Path) -> str:
    endings = Counter(file.suffix.lower() or "no ending" for file in folder.rglob("*") if file.is_file())
    return ", ".join(f"{number} files with {ending}" for ending, number in endings.most_common(3)) or "it is empty"
