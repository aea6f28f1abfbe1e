"""What an image classifier learned, in words."""

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier_from_module
from wordsight.explain import Explainer, Explanation, Explanations, Failure, Prediction
from wordsight.sentences.sampling import Sampling
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
