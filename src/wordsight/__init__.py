"""What an image classifier learned, in words."""

from wordsight.explain import Explainer, Explanation, Explanations, Failure, Prediction
from wordsight.features.classifier import Classifier, classifier_from_module
from wordsight.sentences.nucleus import Sampling
from wordsight.version import __version__

__all__ = [
    "Classifier",
    "Explainer",
    "Explanation",
    "Explanations",
    "Failure",
    "Prediction",
    "Sampling",
    "__version__",
    "classifier_from_module",
]
