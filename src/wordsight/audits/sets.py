"""Sets of an audit's images, named by conditions, and the words in which two sets differ."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from wordsight.audits.compare import WordComparison, compare_words, rates_of, usual_words
from wordsight.audits.findings import Limits
from wordsight.audits.result import Audit, AuditedImage, estimate_columns, read_images
from wordsight.errors import LabelError

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

#: The conditions that take a name, and the field of an image that each one compares with it.
_NAMED = {"class": "label", "predicted": "predicted", "group": "group"}
#: A comma ends a condition only where another one begins: classes may have commas in their names.
_BETWEEN = re.compile(rf",\s*(?=(?:{'|'.join(_NAMED)})\s*=|(?:right|wrong)\s*(?:,|$))")
_WANTED = "Wanted class=NAME, predicted=NAME, group=NAME, right or wrong, or several of them with commas between."
#: The maximum number of names in an error message, the most similar ones first.
_SHOWN = 20


@dataclass(frozen=True)
class Comparison:
    """The words of two sets of images: the conditions of the sets, how many images each has, and the words, smallest q first."""

    here: str
    elsewhere: str
    images_here: int
    images_elsewhere: int
    words: list[WordComparison]

    def differing(self, *, false_discovery: float = 0.05) -> list[WordComparison]:
        """The words that differ at this Benjamini-Hochberg rate, in (0, 1], smallest q first."""
        return [word for word in self.words if word.q <= false_discovery]

    def plot(self) -> "Figure":
        """The difference of mean rates with its interval, of the words that differ; a note if no word differs."""
        from wordsight.report.charts import comparison_figure

        return comparison_figure(self)

    def _repr_html_(self) -> str:
        from wordsight.report.notebook import comparison_html

        return comparison_html(self)

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a word: rates here and elsewhere, their difference and the separation with intervals, q."""
        import pandas

        return pandas.DataFrame(
            [
                {"word": word.word, "here": round(word.here, 4), "elsewhere": round(word.elsewhere, 4)}
                | estimate_columns("difference", word.difference)
                | estimate_columns("separation", word.separation)
                | {"q": float(f"{word.q:.4g}")}  # four digits, not decimals: a small q is no zero
                for word in self.words
            ]
        )


def compare(
    audit: Audit | str | Path | Sequence[AuditedImage],
    here: str | None = None,
    elsewhere: str | None = None,
    *,
    before: Audit | str | Path | Sequence[AuditedImage] | None = None,
    min_images: int = Limits.images,
) -> Comparison:
    """Compare the words of two sets of an audit's images, each named by conditions as ``select`` reads them.

    - ``audit``: an audit, the folder that an audit was saved in, or its images.
    - ``here`` and ``elsewhere``: the conditions of the two sets; ``elsewhere`` is by default all other images.
    - ``before``: another audit of the same images. Then ``here`` is looked up in ``audit`` (default: all of its images) and
      ``elsewhere`` in ``before`` (default: the images that are here). Only images whose names are in both audits count. The sets
      are compared as if they had different images, not image by image: where an image's two rates go together, intervals and q
      are too large, not too small.
    - ``min_images``: compared are the words with a rate of 0.1 or more in at least so many images of the two sets together
      (fewer if a set is smaller).

    A word that is not among an image's words counts with rate 0: none of the image's sampled sentences has it. So rates below
    about one in that many sentences are somewhat too low, in both sets alike if both were sampled alike.

    Raises LabelError for conditions that ``select`` refuses, for sets that overlap or have fewer than two images, for audits
    with fewer than two images in common, and if no word is frequent enough to compare.
    """
    images = _images_of(audit)
    if before is None:
        first, second, chosen, others = _sides_of_one(images, here, elsewhere)
    else:
        first, second, chosen, others = _sides_of_two(images, _images_of(before), here, elsewhere)
    for side, name in ((first, chosen), (second, others)):
        if len(side) < 2:
            raise LabelError(
                f"{len(side)} images are in the set '{name}', wanted at least two. Choose other conditions, or audit more "
                "images."
            )
    both = [*first, *second]
    min_images = min(min_images, len(first), len(second))
    rates = [image.words for image in both]
    vocabulary = usual_words(rates, min_images=min_images)
    if not vocabulary:
        raise LabelError(
            f"There is nothing to compare: no word has a rate of 0.1 or more in {min_images} of the {len(both)} images. "
            "Choose larger sets."
        )
    words = compare_words(vocabulary, rates_of(rates, vocabulary), np.arange(len(both)) < len(first))
    return Comparison(chosen, others, len(first), len(second), words)


def _images_of(audit: Audit | str | Path | Sequence[AuditedImage]) -> Sequence[AuditedImage]:
    if isinstance(audit, Audit):
        return audit.images
    return read_images(audit) if isinstance(audit, str | Path) else audit


def select(images: Sequence[AuditedImage], conditions: str) -> Bool[np.ndarray, " images"]:
    """Which images meet all conditions.

    A condition is ``class=NAME`` (the true label), ``predicted=NAME`` (the predicted class), ``group=NAME``, ``right``
    (predicted right) or ``wrong``; several are joined with commas: "class=waterbird,wrong".

    Raises LabelError for a condition that is none of these and for a name that no image has.
    """
    met = np.ones(len(images), dtype=bool)
    for condition in _BETWEEN.split(conditions.strip()):
        kind, equals, name = (part.strip() for part in condition.partition("="))
        if kind in ("right", "wrong") and not equals:
            met &= np.array([image.right == (kind == "right") for image in images], dtype=bool)
        elif kind in _NAMED and equals:
            values = [getattr(image, _NAMED[kind]) for image in images]
            _check_known(kind, name, {value for value in values if value is not None})
            met &= np.array([value == name for value in values], dtype=bool)
        else:
            raise LabelError(f"Unknown condition '{condition}'. {_WANTED}")
    return met


def _check_known(kind: str, name: str, known: set[str]) -> None:
    if name in known:
        return
    if not known:  # only groups may lack
        raise LabelError(f"'{kind}={name}' came, but the audit's images have no {kind}. Audit a table with the column {kind}.")
    near = difflib.get_close_matches(name, sorted(known), n=_SHOWN, cutoff=0.0)
    shown = ", ".join(f"'{value}'" for value in near) + (", ..." if len(known) > _SHOWN else "")
    raise LabelError(f"No image is {kind}={name}; in this audit {kind} is one of {shown}. {_WANTED}")


_Sides = tuple[list[AuditedImage], list[AuditedImage], str, str]


def _sides_of_one(images: Sequence[AuditedImage], here: str | None, elsewhere: str | None) -> _Sides:
    """The images here and elsewhere of one audit, and the names of the two sets."""
    if here is None:
        raise LabelError(f"No set came to compare with the other images. Name one with --here. {_WANTED}")
    mine = select(images, here)
    theirs = ~mine if elsewhere is None else select(images, elsewhere)
    if (mine & theirs).any():
        raise LabelError(
            f"{int((mine & theirs).sum())} of the {len(images)} images are both '{here}' and '{elsewhere}', wanted two sets "
            "without an image in common. Add a condition to one of them, or leave --elsewhere out to compare with all others."
        )
    return _taken(images, mine), _taken(images, theirs), here, elsewhere or "all others"


def _sides_of_two(
    images: Sequence[AuditedImage], before: Sequence[AuditedImage], here: str | None, elsewhere: str | None
) -> _Sides:
    """The images here and elsewhere of two audits, as far as both have them, and the names of the two sets."""
    common = {image.image for image in images} & {image.image for image in before}
    if len(common) < 2:
        such = " and ".join(f"'{side[0].image}'" for side in (before, images) if side)
        raise LabelError(
            f"The audits have {len(common)} image names in common, wanted at least two; {len(before)} and {len(images)} images "
            f"came, such as {such or 'none'}. Audit the same images twice."
        )
    after, before = ([image for image in side if image.image in common] for side in (images, before))
    first = after if here is None else _taken(after, select(after, here))
    if elsewhere is None:
        names = {image.image for image in first}
        second = [image for image in before if image.image in names]
    else:
        second = _taken(before, select(before, elsewhere))
    return first, second, f"{here or 'all'}, after", f"{elsewhere or 'the same images'}, before"


def _taken(images: Sequence[AuditedImage], which: Bool[np.ndarray, " images"]) -> list[AuditedImage]:
    return [image for image, taken in zip(images, which.tolist(), strict=True) if taken]
