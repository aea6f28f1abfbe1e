"""Transfer: a translator for a new classifier, from unlabelled images that both classifiers look at."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import FeatureError
from wordsight.features.extraction import extract_stored
from wordsight.language.model import LanguageModel
from wordsight.storage import cache_folder
from wordsight.tensors import Features
from wordsight.translator.checkpoint import TranslatorCard, check_fits, save_translator
from wordsight.translator.mlp import Translator
from wordsight.translator.ridge import transferred
from wordsight.version import __version__

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transferred:
    """What a transfer left. ``r2``: share of the old features' variance that the new ones explain on held-out images."""

    translator: Path
    r2: float
    penalty: float
    images: int
    failures: dict[str, str]


def transfer_translator(
    translator: Translator,
    card: TranslatorCard,
    old: Classifier,
    new: Classifier,
    lm: LanguageModel,
    images: Sequence[Path],
    out: Path,
    *,
    store: Path | None = None,
    seed: int = 0,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> Transferred:
    """Write a translator for ``new`` to ``out``, made from one for ``old`` by ridge regression on unlabelled images.

    Only what the new features contain can come out, so the explanation stays one of the new classifier. Raises FeatureError
    if fewer than ten images can be read, TranslatorError if ``translator`` is not one for ``old`` and ``lm``.
    """
    check_fits(card, old, lm)
    store = store or cache_folder() / "features"
    total = 2 * len(images)
    first = extract_stored(new, images, store, on_images=lambda done, _: on_images(done, total))
    second = extract_stored(old, images, store, on_images=lambda done, _: on_images(len(images) + done, total))
    failures = {images[i].name: reason for i, reason in (second.failures | first.failures).items()}
    both = sorted(set(first.kept) & set(second.kept))
    if len(both) < 10:
        raise FeatureError(
            f"{len(both)} of {len(images)} images have features of both classifiers, wanted at least 10 and better thousands. "
            "Give --images a folder with more photographs like those to be explained."
        )
    z_new, z_old = (_rows(found.kept, found.views.mean(1), both) for found in (first, second))
    composed, ridge = transferred(translator, z_new, z_old, seed=seed)
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
        figures={"r2_held_out": ridge.r2, "penalty": ridge.penalty},
        version=__version__,
    )
    save_translator(out, composed, new_card)
    return Transferred(out, ridge.r2, ridge.penalty, len(both), failures)


def _rows(kept: Sequence[int], z: Features, wanted: Sequence[int]) -> torch.Tensor:
    place = {image: row for row, image in enumerate(kept)}
    return z[[place[image] for image in wanted]]
