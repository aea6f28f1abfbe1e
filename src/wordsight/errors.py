"""Every error that wordsight raises on purpose.

    WordsightError
    ├── ImageError          an image file that cannot be used
    ├── CaptionError        a caption file that cannot be used
    ├── LabelError          labelled images that cannot be used
    ├── FeatureError        features that cannot be used: not finite, wrong size
    ├── ModelError          a classifier or language model that is unknown or cannot be loaded
    │   └── DownloadError   the starter's weights could not be fetched
    └── TranslatorError     a translator file that is missing, foreign, or made for other models

A message says what came, what was wanted, and what to do next.
"""


class WordsightError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""


class ImageError(WordsightError):
    """An image that cannot be read."""


class CaptionError(WordsightError):
    """Captions that cannot be read or do not fit the images."""


class LabelError(WordsightError):
    """Labelled images that cannot be read or used."""


class FeatureError(WordsightError):
    """Features that cannot be used."""


class ModelError(WordsightError):
    """A classifier or language model that cannot be used."""


class DownloadError(ModelError):
    """Weights that could not be fetched."""


class TranslatorError(WordsightError):
    """A translator that cannot be used with these models."""
