"""A last layer for classes of one's own, on the features of a classifier that stays as it is."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wordsight.errors import LabelError, ModelError
from wordsight.features.classifier import Classifier
from wordsight.files import replacing
from wordsight.tensors import Features
from wordsight.version import __version__

_KEY = "wordsight-head"


@dataclass(frozen=True)
class Head:
    """A linear layer: logits = ``weight`` z + ``bias``, one row a label. ``classifier`` and its fingerprint say for which z."""

    weight: Float[Tensor, "classes features"]
    bias: Float[Tensor, " classes"]
    labels: tuple[str, ...]
    classifier: str
    classifier_fingerprint: str
    figures: dict[str, object] = field(default_factory=dict)

    def logits(self, z: Features) -> Float[Tensor, "images classes"]:
        """Logits of features."""
        return z @ self.weight.T + self.bias


def fit_head(
    z: Features,
    label: Int[Tensor, " images"],
    labels: Sequence[str],
    classifier: Classifier,
    *,
    importance: Float[Tensor, " images"] | None = None,
    penalty: float = 1.0,
) -> Head:
    """Multinomial logistic regression on standardised features, by L-BFGS.

    ``penalty``: half of it times the sum of the squared weights is added to the summed loss (as 1/C in scikit-learn).
    ``importance`` weighs the images; 1 each by default. Raises LabelError for fewer than two classes with images.
    """
    if len(label.unique()) < 2:
        raise LabelError(
            f"{len(label)} images of {len(label.unique())} class came, wanted two classes or more. Give each class images."
        )
    x = z.double()
    mean, spread = x.mean(0), x.std(0, correction=0) + 1e-3
    x = (x - mean) / spread
    each = torch.ones(len(x), dtype=torch.float64) if importance is None else importance.double()
    weight = torch.zeros(len(labels), x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(labels), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=300, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = (nn.functional.cross_entropy(x @ weight.T + bias, label, reduction="none") * each).sum()
        value = (value + penalty / 2 * weight.square().sum()) / len(x)
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType] (torch wants floats here and takes tensors)
    with torch.no_grad():
        raw = weight / spread
        shift = bias - raw @ mean
    return Head(raw.float(), shift.float(), tuple(labels), classifier.name, classifier.fingerprint)


def with_head(classifier: Classifier, head: Head) -> Classifier:
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
    )


def save_head(path: str | Path, head: Head) -> None:
    """Write a head as safetensors, atomically."""
    about = {k: v for k, v in asdict(head).items() if k not in ("weight", "bias")} | {"version": __version__}
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
            return Head(file.get_tensor("weight"), file.get_tensor("bias"), labels=tuple(about.pop("labels")), **about)
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(
            f"{path} is not a wordsight head ({type(error).__name__}: {error}). Wanted a .safetensors file that 'wordsight "
            "head' wrote."
        ) from error
