"""The bundle that explanations need: a classifier, a language model and the translator between them."""

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.resources import as_file, files
from pathlib import Path

import torch

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.registry import load_classifier
from wordsight.errors import TranslatorError
from wordsight.images.sources import image_list, stored_image
from wordsight.language.blocked import blocked
from wordsight.language.devices import chosen_device, native_dtype
from wordsight.language.loading import load_language_model
from wordsight.language.model import LanguageModel
from wordsight.language.starter import LANGUAGE_MODEL, starter_language_model
from wordsight.runtime import AUTO, OnProgress, no_progress
from wordsight.storage import CannotWrite, cache_folder, read_stored
from wordsight.tensors import Features, Prefix
from wordsight.translator.checkpoint import (
    TranslatorCard,
    check_fits,
    load_translator,
    save_translator,
    translator_fingerprint,
)
from wordsight.translator.mlp import Translator
from wordsight.translator.transfer import transfer_translator
from wordsight.translator.word_head import HeadRates

logger = logging.getLogger(__name__)

Pair = tuple[Translator, TranslatorCard]
"""A translator and its card, as ``load_translator`` gives them."""


@dataclass(frozen=True)
class Models:
    """A classifier, a language model and the translator between them; everything that is made of images starts here.

    ``memory``: bytes for the language model's keys and values at a time; None for what ``sample`` takes by default.
    ``translator_file`` and ``lm_name``: what the user named, to print in commands; None for the starter's or for what was made
    in memory. Raises TranslatorError if the translator was made for another classifier or language model.
    """

    classifier: Classifier
    lm: LanguageModel
    translator: Translator
    card: TranslatorCard
    memory: int | None = None
    translator_file: str | None = None
    lm_name: str | None = None

    def __post_init__(self) -> None:
        self.translator.to(self.classifier.device).eval().requires_grad_(False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the translator's weights."""
        return translator_fingerprint(self.translator)

    @torch.inference_mode()
    def prefix(self, z: Features) -> Prefix:
        """What the translator makes of features."""
        return self.translator(z.to(self.classifier.device))

    def word_rates(self, z: Features) -> HeadRates | None:
        """What the translator's word head says of features; None without one."""
        return self.translator.word_rates(z)


def load_models(
    classifier: str | Classifier = "starter",
    *,
    images: object = None,
    translator: str | Path | Pair | None = None,
    lm: str | LanguageModel | None = None,
    device: str = AUTO,
    memory: int | None = None,
    on_progress: OnProgress = no_progress,
) -> Models:
    """Any combination by name; what is left out is the starter's.

    A classifier without a ``translator`` gets one that is made from ``images`` (see ``own_translator``). Raises ModelError for
    models that cannot be loaded and TranslatorError for a translator that does not fit them.
    """
    device = chosen_device(device)
    pair = None
    if translator is not None:  # before the models: a misspelt file is known at once
        pair = translator if isinstance(translator, tuple) else load_translator(translator)
    model = (
        classifier
        if isinstance(classifier, Classifier)
        else load_classifier(classifier, device=device, on_progress=on_progress)
    )
    language_model = named_language_model(lm, device=device, on_progress=on_progress)
    if pair is None:
        pair = own_translator(model, language_model, images, on_progress=on_progress)
    check_fits(pair[1], model, language_model)
    return Models(
        model,
        language_model,
        *pair,
        memory=memory,
        translator_file=str(translator) if isinstance(translator, str | Path) else None,
        lm_name=lm if isinstance(lm, str) else None,
    )


def named_language_model(
    lm: str | LanguageModel | None, *, device: str = "cpu", on_progress: OnProgress = no_progress
) -> LanguageModel:
    """A language model by its folder, GGUF file or Hugging Face name; the starter's for None."""
    if isinstance(lm, LanguageModel):
        return lm
    load = starter_language_model if lm is None or lm == LANGUAGE_MODEL else partial(load_language_model, lm)
    return blocked(load(dtype=native_dtype(device), device=device, on_progress=on_progress))


def starter_translator() -> Pair:
    """The translator that comes inside the package (see docs/model-card.md)."""
    with as_file(files("wordsight").joinpath("starter_translator.safetensors")) as path:
        return load_translator(path)


def own_translator(
    classifier: Classifier, lm: LanguageModel, images: object = None, *, on_progress: OnProgress = no_progress
) -> Pair:
    """The translator of a classifier: the starter's if it is the starter, else one from the cache, else made from ``images``.

    It is transferred from the starter's by ridge regression on images that both classifiers look at (labels and captions are
    not needed; hundreds will do, thousands are better) and cached under the classifier's fingerprint. Other images
    make it anew. Raises TranslatorError if there is neither one in the cache nor images, or if the language model is not the
    starter's.
    """
    starter, card = starter_translator()
    if lm.fingerprint != card.language_model_fingerprint:
        raise TranslatorError(
            f"There is no translator for the language model '{lm.name}': the starter's was made for '{card.language_model}'. "
            "Train one with 'wordsight train' and give it with --translator (in Python: translator=), or leave --lm out."
        )
    if classifier.fingerprint == card.classifier_fingerprint:
        return starter, card
    source = translator_fingerprint(starter)
    file = cache_folder() / "translators" / f"{classifier.fingerprint[:32]}-{source[:8]}.safetensors"
    stored = read_stored(file, load_translator)
    if images is None:
        if stored is not None:
            return stored
        spec = classifier.spec or "CLASSIFIER"
        raise TranslatorError(
            f"The classifier '{classifier.name}' has no translator yet. It is made from photographs of the kind that you want "
            "explained (no labels or captions needed; 500 or more). Give a folder of them: "
            f"wordsight explain photo.jpg --classifier {spec} --images photographs/ (in Python: "
            'Explainer(classifier, images="photographs/")). It is cached for the next time.'
        )
    paths = [stored_image(image, number=i) for i, image in enumerate(image_list(images))]
    digest = hashlib.sha256("\n".join(str(path.resolve()) for path in paths).encode(errors="surrogateescape")).hexdigest()
    # One of before there were usual features is made again.
    if stored is not None and stored[1].data.get("images_digest") == digest and len(stored[0].reference):
        return stored
    old = load_classifier("starter", device=classifier.device, on_progress=on_progress)
    made = transfer_translator((starter, card), old, classifier, paths, on_progress=on_progress)
    made.card.data["images_digest"] = digest
    try:
        save_translator(file, made.translator, made.card)
    except CannotWrite as error:  # a full or read-only cache costs time, not the result
        logger.warning("the translator cannot be written to %s (%s): it will be made again", file, error)
    for name, reason in made.failures.items():
        logger.warning("%s: %s", name, reason)
    return made.translator, made.card
