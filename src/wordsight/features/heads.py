"""Train a head: labelled images in, a last layer out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head, image_key, save_head
from wordsight.errors import LabelError
from wordsight.features.extraction import extract_stored
from wordsight.images.labelled import read_labelled
from wordsight.runtime import OnProgress, no_progress
from wordsight.storage import cache_folder
from wordsight.tensors import Features


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
    weights = torch.ones(len(x), dtype=torch.float64) if importance is None else importance.double()
    weight = torch.zeros(len(labels), x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(labels), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=300, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = (nn.functional.cross_entropy(x @ weight.T + bias, label, reduction="none") * weights).sum()
        value = (value + penalty / 2 * weight.square().sum()) / len(x)
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType] (torch wants floats here and takes tensors)
    with torch.no_grad():
        raw = weight / spread
        shift = bias - raw @ mean
    return Head(raw.float(), shift.float(), tuple(labels), classifier.spec or classifier.name, classifier.fingerprint)


@dataclass(frozen=True)
class TrainedHead:
    """A trained head with its figures, how many images trained it, and those that were left out, with reasons."""

    head: Head
    images: int
    failures: dict[str, str]

    def save(self, path: str | Path) -> Path:
        """Write the head as safetensors, atomically; returns its path. Use it as ``head:PATH``."""
        save_head(path, self.head)
        return Path(path)


def train_head(
    data: object,
    classifier: Classifier,
    *,
    split: str | None = None,
    held_out: float = 0.2,
    penalty: float = 1.0,
    store: Path | None = None,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> TrainedHead:
    """Train a last layer for the labels of images on a classifier's features.

    ``data``: what ``read_labelled`` reads. Without ``split``, data with the splits train and test (else val) are trained on train and
    measured on the other; else a random share (``held_out``, in [0, 1)) is held out. Accuracy and accuracy of the worst class there
    are in the head's figures; the head remembers which images trained it. ``penalty``: of the squared
    weights, 1/C in scikit-learn. Raises LabelError if fewer than two classes have images to train on.
    """
    images = read_labelled(data, split=split)
    store = store or cache_folder() / "features"
    extracted = extract_stored(classifier, images.paths, store, on_images=partial(on_progress, "features"))
    readable = images.take(extracted.readable)
    labels = sorted(set(readable.labels))
    label = torch.tensor([labels.index(name) for name in readable.labels], dtype=torch.long)
    trained, held = _parts(readable.splits if split is None else None, len(label), held_out, seed)
    _check_classes(images.labels, labels, label[trained], extracted.failures)
    z = extracted.views.mean(1)
    head = fit_head(z[trained], label[trained], labels, classifier, penalty=penalty)
    head = replace(head, trained_on=frozenset(image_key(extracted.digests[i]) for i in trained.tolist()))
    if len(held):
        right = head.logits(z[held]).argmax(1) == label[held]
        by_class = [float(right[label[held] == c].float().mean()) for c in label[held].unique().tolist()]
        figures: dict[str, object] = {
            "accuracy_held_out": round(float(right.float().mean()), 4),
            "worst_class_accuracy_held_out": round(min(by_class), 4),
            "held_out": len(held),
        }
        head = replace(head, figures=figures)
    failures = images.left_out | {str(images.paths[i]): reason for i, reason in extracted.failures.items()}
    return TrainedHead(head, len(trained), failures)


def _check_classes(
    wanted: Sequence[str], labels: Sequence[str], trained: Int[Tensor, " images"], failures: Mapping[int, str]
) -> None:
    """Raise LabelError unless there are two classes or more, each with an image to train on. ``wanted``: all images' labels."""
    if not labels:
        raise LabelError(f"None of the {len(wanted)} images can be read; the first: {next(iter(failures.values()))}")
    if len(labels) == 1:
        raise LabelError(
            f"All {wanted.count(labels[0])} images have the label '{labels[0]}', wanted two labels or more. Give a folder for each "
            "class, or the folder above this one."
            if len(set(wanted)) == 1
            else f"Of {len(set(wanted))} classes only '{labels[0]}' has images that can be read, wanted two classes or more; the "
            f"first that cannot: {next(iter(failures.values()))}"
        )
    missing = sorted(set(range(len(labels))) - set(trained.tolist()))
    if missing:
        label = labels[missing[0]]
        raise LabelError(
            f"{len(missing)} of {len(labels)} classes have no image to train on; the first, '{label}', has "
            f"{wanted.count(label)} in all, and needs one to train on and one to measure on. Give it more images, take it out, "
            "or give a smaller --held-out."
        )


def _parts(splits: Sequence[str] | None, images: int, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """The numbers of the images to train on, and of those kept aside."""
    other = next((name for name in ("test", "val") if name in (splits or ())), None)
    if splits is not None and "train" in splits and other is not None:
        names = list(splits)
        trained, held = ([i for i, name in enumerate(names) if name == wanted] for wanted in ("train", other))
        return torch.tensor(trained), torch.tensor(held)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    held, trained = order.tensor_split([round(held_out * images)])
    return trained, held
