"""A translator's file: safetensors with everything about it in the metadata."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import TranslatorError
from wordsight.language.model import LanguageModel
from wordsight.storage import replacing
from wordsight.translator.mlp import Translator
from wordsight.translator.word_head import WordHead
from wordsight.version import __version__

_KEY, _REFERENCE = "wordsight", "reference"


@dataclass(frozen=True)
class TranslatorCard:
    """What a translator was made for and from. Stored inside its file as JSON.

    ``data`` says what it was trained on and under which terms, ``figures`` what was measured. ``word_head``: the vocabulary and
    shape of the word head in the file, None without one.
    """

    classifier: str
    classifier_fingerprint: str
    features: int
    language_model: str
    language_model_fingerprint: str
    lm_hidden: int
    prefix_tokens: int
    hidden: int
    seed: int
    data: dict[str, object]
    figures: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    word_head: dict[str, Any] | None = None
    version: str = __version__


def save_translator(path: str | Path, translator: Translator, card: TranslatorCard) -> None:
    """Write a translator, in half precision, atomically."""
    card = replace(card, word_head=None if translator.words is None else translator.words.shape())
    tensors = {**translator.state_dict(), **({_REFERENCE: translator.reference} if len(translator.reference) else {})}
    weights = {name: value.detach().half().contiguous().cpu() for name, value in tensors.items()}
    with replacing(path) as partial:
        save_file(weights, partial, metadata={_KEY: json.dumps(asdict(card))})


def load_translator(path: str | Path) -> tuple[Translator, TranslatorCard]:
    """Read a translator and its card. Raises TranslatorError if the file is missing or is no translator."""
    path = Path(path)
    if not path.is_file():
        raise TranslatorError(
            f"There is no translator file {path}. Give --translator a .safetensors file that 'wordsight train' wrote, or leave "
            "it out to use the starter's."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            card = TranslatorCard(**json.loads(metadata[_KEY]))
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
        translator = Translator(card.features, card.lm_hidden, hidden=card.hidden, prefix_tokens=card.prefix_tokens)
        if card.word_head is not None:
            translator.words = WordHead(card.features, **card.word_head)
        translator.reference = weights.pop(_REFERENCE, translator.reference)
        translator.load_state_dict(weights)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise TranslatorError(
            f"{path} is not a wordsight translator ({type(error).__name__}: {error}). Wanted a .safetensors file that "
            "'wordsight train' wrote."
        ) from error
    return translator.eval(), card


def check_fits(card: TranslatorCard, classifier: Classifier, lm: LanguageModel) -> None:
    """Raise TranslatorError unless the translator was made for exactly this classifier and language model."""
    came = (classifier.fingerprint, classifier.features)
    if came != (card.classifier_fingerprint, card.features):
        raise TranslatorError(
            f"The translator was made for the classifier '{card.classifier}' ({card.features} features, weights "
            f"{card.classifier_fingerprint[:12]}), but came with '{classifier.name}' ({classifier.features} features, weights "
            f"{classifier.fingerprint[:12]}). Features of one classifier mean nothing to the translator of another: use it "
            f"with '{card.classifier}', or make a translator for '{classifier.name}' with 'wordsight train' or "
            "'wordsight transfer'."
        )
    if lm.fingerprint != card.language_model_fingerprint:  # of the weights' shapes, too
        raise TranslatorError(
            f"The translator was made for the language model '{card.language_model}' (hidden size {card.lm_hidden}, weights "
            f"{card.language_model_fingerprint[:12]}), but came with '{lm.name}' (hidden size {lm.hidden}, weights "
            f"{lm.fingerprint[:12]}). Use --lm with '{card.language_model}', or train a translator for '{lm.name}' with "
            "'wordsight train'."
        )


def translator_fingerprint(translator: Translator) -> str:
    """SHA-256 of a translator's weights as they are stored (half precision)."""
    digest = hashlib.sha256()
    for name, value in sorted(translator.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to(torch.float16).cpu().numpy().tobytes())
    return digest.hexdigest()
