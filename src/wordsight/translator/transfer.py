"""Transfer: a translator for a new classifier, from unlabelled images that both classifiers look at."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import FeatureError, TranslatorError
from wordsight.features.extraction import extract_stored
from wordsight.runtime import OnProgress, no_progress
from wordsight.storage import cache_folder
from wordsight.translator.checkpoint import TranslatorCard, save_translator
from wordsight.translator.mlp import Translator
from wordsight.translator.ridge import transferred, words_explained
from wordsight.version import __version__

#: Fewer images than this make no translator at all.
MIN_IMAGES = 10


@dataclass(frozen=True)
class Transferred:
    """A transferred translator.

    ``r2``: share of the old features' variance that the new ones explain on held-out images; ``words``: of each word's rate, as
    the word head says it, likewise (empty without a word head).
    """

    translator: Translator
    card: TranslatorCard
    r2: float
    penalty: float
    words: dict[str, float]
    images: int
    failures: dict[str, str]

    def save(self, path: str | Path) -> Path:
        """Write the translator as safetensors, atomically; returns its path."""
        save_translator(path, self.translator, self.card)
        return Path(path)


def transfer_translator(
    pair: tuple[Translator, TranslatorCard],
    old: Classifier,
    new: Classifier,
    images: Sequence[Path],
    *,
    store: Path | None = None,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> Transferred:
    """A translator for ``new``, made from one for ``old`` (``pair``) by ridge regression on unlabelled images.

    Only what the new features contain can come out, so the explanation stays one of the new classifier. Raises FeatureError
    if fewer than ten images can be read, TranslatorError if ``pair`` is not for ``old``.
    """
    translator, card = pair
    if (old.fingerprint, old.features) != (card.classifier_fingerprint, card.features):
        raise TranslatorError(
            f"The translator was made for the classifier '{card.classifier}' (weights {card.classifier_fingerprint[:12]}), but "
            f"came with '{old.name}' (weights {old.fingerprint[:12]}). Give the classifier that it was made for "
            "(--from-classifier)."
        )
    store = store or cache_folder() / "features"
    total = 2 * len(images)

    def on_new(done: int, _: int) -> None:
        on_progress("features", done, total)

    def on_old(done: int, _: int) -> None:
        on_progress("features", len(images) + done, total)

    first = extract_stored(new, images, store, on_images=on_new)
    second = extract_stored(old, images, store, on_images=on_old)
    failures = {images[i].name: reason for i, reason in (second.failures | first.failures).items()}
    both = sorted(set(first.readable) & set(second.readable))
    if len(both) < MIN_IMAGES:
        raise FeatureError(
            f"{len(both)} of {len(images)} images have features of both classifiers, wanted at least {MIN_IMAGES} and better "
            "thousands. Give --images a folder with more photographs like those to be explained."
        )
    rows = ({image: row for row, image in enumerate(found.readable)} for found in (first, second))
    z_new, z_old = (
        found.views.mean(1)[[row_of[image] for image in both]] for found, row_of in zip((first, second), rows, strict=True)
    )
    translator = deepcopy(translator).cpu()  # features are there, and not every device has float64
    composed, ridge = transferred(translator, z_new, z_old, seed=seed)
    head = translator.words
    words = {} if head is None else words_explained(head, translator.standardise(z_old), ridge)
    new_card = replace(
        card,
        classifier=new.name,
        classifier_fingerprint=new.fingerprint,
        features=new.features,
        seed=seed,
        data={
            "about": f"transferred from the translator for '{card.classifier}' by ridge regression on {len(both)} unlabelled "
            "images",
            "images": len(both),
            "from": card.data,
        },
        figures={
            "r2_held_out": ridge.r2,
            "penalty": ridge.penalty,
            "words_r2_held_out": {word: round(share, 3) for word, share in words.items()},
        },
        version=__version__,
    )
    return Transferred(composed, new_card, ridge.r2, ridge.penalty, words, len(both), failures)
