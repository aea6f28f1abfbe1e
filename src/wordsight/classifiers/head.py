"""A last layer for classes of one's own, on the features of a classifier that stays as it is."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import ModelError
from wordsight.storage import replacing
from wordsight.tensors import Features
from wordsight.version import __version__

_KEY = "wordsight-head"


def image_key(digest: str) -> str:
    """How a head remembers an image: the first 16 digits of its file's SHA-256, enough for billions of images."""
    return digest[:16]


@dataclass(frozen=True)
class Head:
    """A linear layer: logits = ``weight`` z + ``bias``, one row a label. ``classifier`` and its fingerprint say for which z.

    ``trained_on``: the ``image_key`` of each image that trained it: on these no accuracy is measured.
    """

    weight: Float[Tensor, "classes features"]
    bias: Float[Tensor, " classes"]
    labels: tuple[str, ...]
    classifier: str
    classifier_fingerprint: str
    figures: dict[str, object] = field(default_factory=dict)
    trained_on: frozenset[str] = frozenset()

    def logits(self, z: Features) -> Float[Tensor, "images classes"]:
        """Logits of features."""
        return z @ self.weight.T + self.bias


def with_head(classifier: Classifier, head: Head, *, spec: str | None = None) -> Classifier:
    """The classifier with another last layer. Its features, and so its translator, stay the same.

    Raises ModelError if the head was made for another classifier.
    """
    if (head.classifier_fingerprint, head.weight.shape[1]) != (classifier.fingerprint, classifier.features):
        raise ModelError(
            f"The head was made for the classifier '{head.classifier}' (weights {head.classifier_fingerprint[:12]}), but came "
            f"with '{classifier.name}' (weights {classifier.fingerprint[:12]}). Use it with '{head.classifier}', or make one "
            "with 'wordsight head'."
        )
    weight, bias = head.weight.to(classifier.device), head.bias.to(classifier.device)
    return replace(
        classifier,
        head=lambda z: nn.functional.linear(z, weight, bias),
        labels=head.labels,
        head_weight=head.weight,
        spec=spec,
        trained_on=head.trained_on,
    )


def save_head(path: str | Path, head: Head) -> None:
    """Write a head as safetensors, atomically."""
    about = {k: v for k, v in asdict(head).items() if k not in ("weight", "bias")} | {"version": __version__}
    about["trained_on"] = sorted(head.trained_on)
    with replacing(path) as partial:
        save_file({"weight": head.weight, "bias": head.bias}, partial, metadata={_KEY: json.dumps(about)})


def load_head(path: str | Path) -> Head:
    """Read a head. Raises ModelError if the file is missing or is no head."""
    if not Path(path).is_file():
        raise ModelError(f"There is no head file {path}. Give head: a .safetensors file that 'wordsight head' wrote.")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            about.pop("version")
            about |= {"labels": tuple(about["labels"]), "trained_on": frozenset(about.get("trained_on", ()))}
            return Head(file.get_tensor("weight"), file.get_tensor("bias"), **about)
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(
            f"{path} is not a wordsight head ({type(error).__name__}: {error}). Wanted a .safetensors file that 'wordsight "
            "head' wrote."
        ) from error
