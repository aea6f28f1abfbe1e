"""The words that each class of a classifier relies on, from unlabelled images at large and the word head."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.errors import ImageError, TranslatorError
from wordsight.features.extraction import extract_stored
from wordsight.models import Models
from wordsight.runtime import OnProgress, no_progress
from wordsight.storage import cache_folder
from wordsight.words.reliance import Reliance, reliance

if TYPE_CHECKING:
    import pandas

#: Images that reliance needs, at least; hundreds are better.
MIN_IMAGES = 100
#: A word takes part if its rate is ``_PRESENT`` or more in so large a share of the images.
_PRESENT, _MIN_SHARE = 0.1, 0.01


@dataclass(frozen=True)
class ClassReliance:
    """A class and the words that it relies on.

    ``words``: the clear ones (interval without 0), the largest absolute reliance first. ``explained``: share of the logit's
    variance that all words explain on images that were left out; at most 1, below 0 if they predict worse than the mean.
    """

    label: str
    words: list["WordReliance"]
    explained: float


@dataclass(frozen=True)
class WordReliance:
    """A word's reliance with its 95% interval: standard deviations of the class's logit for a rate of 1 instead of 0."""

    word: str
    reliance: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassWords:
    """Every class with the words that it relies on. ``images``: how many were looked at; ``failures``: the others, with reasons."""

    classes: list[ClassReliance]
    vocabulary: list[str]
    images: int
    failures: dict[str, str] = field(default_factory=dict)

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a class and clear word: label, word, reliance, low, high."""
        import pandas

        rows = [{"label": of.label, **asdict(word)} for of in self.classes for word in of.words]
        return pandas.DataFrame(rows, columns=["label", "word", "reliance", "low", "high"])

    def to_json(self) -> str:
        """Everything, as JSON."""
        return json.dumps(asdict(self), indent=2)


def class_words(
    models: Models, images: Sequence[Path], *, store: Path | None = None, on_progress: OnProgress = no_progress
) -> ClassWords:
    """The words that each class relies on (see ``reliance``), over unlabelled images of the kind that the classifier meets.

    Word rates are the word head's, so that a word outside its vocabulary cannot be found. Raises TranslatorError if the translator
    has no word head, ImageError if fewer than ``MIN_IMAGES`` images can be read.
    """
    classifier = models.classifier
    if models.translator.words is None:
        raise TranslatorError(
            f"The translator for '{models.card.classifier}' has no word head, wanted one: the words of classes come from it. "
            "Make the translator anew with 'wordsight train' or 'wordsight transfer'."
        )
    store = store or cache_folder()
    found = extract_stored(classifier, images, store / "features", on_images=partial(on_progress, "features"))
    failures = {str(images[i]): reason for i, reason in found.failures.items()}
    if len(found.readable) < MIN_IMAGES:
        first = f" The first that cannot be read: {next(iter(failures.values()))}" if failures else ""
        raise ImageError(
            f"{len(found.readable)} of {len(images)} images can be read, wanted at least {MIN_IMAGES} to tell words apart, and "
            f"better a thousand. Give more photographs (no labels needed).{first}"
        )
    z = found.views.mean(1)
    head = models.word_rates(z)
    assert head is not None
    frequent = ((head.rates >= _PRESENT).float().mean(0) >= _MIN_SHARE).nonzero()[:, 0].tolist()
    vocabulary = [head.vocabulary[i] for i in frequent]
    measured = reliance(head.rates[:, frequent].double().numpy(), classifier.logits(z).double().numpy())
    classes = [_of_class(label, c, vocabulary, measured) for c, label in enumerate(classifier.labels)]
    return ClassWords(classes, vocabulary, len(found.readable), failures)


def _of_class(label: str, c: int, vocabulary: Sequence[str], measured: Reliance) -> ClassReliance:
    words = [
        WordReliance(word, value, value - reach, value + reach)
        for word, value, reach in zip(vocabulary, measured.value[c].tolist(), measured.reach[c].tolist(), strict=True)
        if abs(value) > max(reach, 1e-6)  # beyond rounding
    ]
    return ClassReliance(label, sorted(words, key=lambda w: -abs(w.reliance)), float(measured.explained[c]))
