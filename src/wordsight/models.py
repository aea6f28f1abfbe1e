"""The bundle that explanations need: a classifier, a language model and the translator between them."""

from importlib.resources import as_file, files

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.registry import named_classifier
from wordsight.fetch import OnBytes, ignore_bytes
from wordsight.language.model import LanguageModel, load_language_model
from wordsight.language.starter import LANGUAGE_MODEL, starter_language_model
from wordsight.runtime import check_device, native_dtype
from wordsight.translator.checkpoint import TranslatorCard, load_translator
from wordsight.translator.mlp import Translator


def starter_translator() -> tuple[Translator, TranslatorCard]:
    """The translator that comes inside the package (see docs/model-card.md)."""
    with as_file(files("wordsight").joinpath("starter_translator.safetensors")) as path:
        return load_translator(path)


def load_models(
    *, classifier: str = "starter", lm: str | None = None, device: str = "cpu", on_bytes: OnBytes = ignore_bytes
) -> tuple[Classifier, LanguageModel]:
    """A classifier and a language model by name; the starter's where nothing is named."""
    check_device(device)
    dtype = native_dtype(device)
    model = named_classifier(classifier, device=device, on_bytes=on_bytes)
    if lm is None or lm == LANGUAGE_MODEL:
        return model, starter_language_model(dtype=dtype, device=device, on_bytes=on_bytes)
    return model, load_language_model(lm, dtype=dtype, device=device)
