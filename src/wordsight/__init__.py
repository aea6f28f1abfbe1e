"""What an image classifier learned, in words."""

from importlib import import_module
from typing import TYPE_CHECKING

from wordsight.version import __version__

if TYPE_CHECKING:
    from wordsight.audits.findings import Finding, Limits
    from wordsight.audits.result import Audit
    from wordsight.audits.run import audit
    from wordsight.audits.sets import Comparison, compare
    from wordsight.classifiers.classifier import Classifier
    from wordsight.classifiers.head import Head
    from wordsight.classifiers.modules import classifier
    from wordsight.classifiers.registry import load_classifier
    from wordsight.errors import WordsightError
    from wordsight.explain import Explainer, Explanation, Explanations, Failure, Prediction
    from wordsight.features.heads import train_head
    from wordsight.features.maps import HeatMap
    from wordsight.images.labelled import LabelledImages, read_labelled
    from wordsight.mitigation.result import Mitigation
    from wordsight.mitigation.run import mitigate
    from wordsight.runtime import tune_memory
    from wordsight.sentences.sampling import Sampling
    from wordsight.translator.training import train_translator
    from wordsight.translator.transfer import transfer_translator
    from wordsight.words.class_words import ClassWords

__all__ = [
    "Audit",
    "ClassWords",
    "Classifier",
    "Comparison",
    "Explainer",
    "Explanation",
    "Explanations",
    "Failure",
    "Finding",
    "Head",
    "HeatMap",
    "LabelledImages",
    "Limits",
    "Mitigation",
    "Prediction",
    "Sampling",
    "WordsightError",
    "__version__",
    "audit",
    "classifier",
    "compare",
    "load_classifier",
    "mitigate",
    "read_labelled",
    "train_head",
    "train_translator",
    "transfer_translator",
    "tune_memory",
]

_HOMES = {
    "audits.findings": ("Finding", "Limits"),
    "audits.result": ("Audit",),
    "audits.run": ("audit",),
    "audits.sets": ("Comparison", "compare"),
    "classifiers.classifier": ("Classifier",),
    "classifiers.head": ("Head",),
    "classifiers.modules": ("classifier",),
    "classifiers.registry": ("load_classifier",),
    "errors": ("WordsightError",),
    "explain": ("Explainer", "Explanation", "Explanations", "Failure", "Prediction"),
    "features.heads": ("train_head",),
    "features.maps": ("HeatMap",),
    "images.labelled": ("LabelledImages", "read_labelled"),
    "mitigation.result": ("Mitigation",),
    "mitigation.run": ("mitigate",),
    "runtime": ("tune_memory",),
    "sentences.sampling": ("Sampling",),
    "translator.training": ("train_translator",),
    "translator.transfer": ("transfer_translator",),
    "words.class_words": ("ClassWords",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: ``import wordsight`` takes no PyTorch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'wordsight' has no attribute '{name}'; it has: {', '.join(__all__)}")
    value = getattr(import_module(f"wordsight.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
