"""Classes of which no image can be read."""

from collections.abc import Collection
from dataclasses import replace

from wordsight.errors import ImageError
from wordsight.images.files import read_image
from wordsight.images.sets import LabelledImages


def without_unreadable(images: LabelledImages, labels: Collection[str]) -> LabelledImages:
    """Without those of these classes of which no image can be read: their images are in ``left_out``, with reasons.

    A head that was trained on these images does not have such a class either. If nothing would be left, all stay.
    """
    left_out: dict[str, str] = {}
    rows = set(range(len(images.paths)))
    for label in sorted(set(labels)):
        reasons: dict[int, str] = {}
        for row in (row for row, own in enumerate(images.labels) if own == label):
            try:
                read_image(images.paths[row])
            except ImageError as error:
                reasons[row] = str(error)
            else:
                break  # one image makes a class
        else:
            rows -= reasons.keys()
            left_out |= {str(images.paths[row]): reason for row, reason in reasons.items()}
    return replace(images.take(sorted(rows)), left_out=images.left_out | left_out) if rows else images
