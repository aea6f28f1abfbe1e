"""Train a translator: captions and images in, a translator's file out."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.imagenet import imagenet_classes
from wordsight.errors import CaptionError, ModelError, TranslatorError
from wordsight.features.extraction import extract_stored
from wordsight.images.files import find_images
from wordsight.language.model import LanguageModel
from wordsight.storage import cache_folder
from wordsight.tensors import Views
from wordsight.translator.captions import match_captions, read_captions
from wordsight.translator.checkpoint import TranslatorCard, check_fits, load_translator, save_translator, translator_fingerprint
from wordsight.translator.classes import add_classes, class_captions
from wordsight.translator.mlp import Translator
from wordsight.translator.optimisation import Captioned, Progress, Settings, train
from wordsight.translator.warm_start import warm_start

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptionSource:
    """A caption file and the folder of its images."""

    captions: Path
    images: Path


@dataclass(frozen=True)
class Shape:
    """Size of a translator. ``dropout`` is that of its hidden layer."""

    hidden: int = 1024
    prefix_tokens: int = 8
    dropout: float = 0.3


@dataclass(frozen=True)
class Trained:
    """What a training left: the file, losses on held-out captions (nats a token), and the images that were left out."""

    translator: Path
    dev_losses: list[float]
    images: int
    dev_images: int
    failures: dict[str, str]


def train_translator(
    sources: Sequence[CaptionSource],
    classifier: Classifier,
    lm: LanguageModel,
    out: Path,
    *,
    dev: Sequence[str] | float = 0.05,
    class_draws: int = 0,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    shape: Shape = Shape(),
    start: Path | None = None,
    data: str = "",
    store: Path | None = None,
    save_every: float = 180,
    on_images: Callable[[int, int], None] = lambda done, total: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Trained:
    """Train a translator for a classifier and a language model, and write it to ``out``.

    ``dev`` names the images that are held out for the dev loss, or gives their share. ``class_draws`` adds, that many times,
    each class of a 1,000-class ImageNet head to a photograph's features, and its name to the captions, for what the
    photographs do not show (see ``classes.add_classes``). Features are stored (``store``, default in the cache), the
    training keeps a checkpoint beside ``out``: interrupted, it goes on from there and ends with the same result. ``start`` is a
    translator for the same models to go on from (a transferred one, for instance), whose size it keeps, instead of a fresh one;
    the result is not worse than it on the dev loss. ``data`` is a sentence about the data and its terms for the card.
    """
    started = None
    if start is not None:
        started = load_translator(start)
        check_fits(started[1], classifier, lm)
    views, captions, names, failures = _read(sources, classifier, store or cache_folder() / "features", on_images)
    held = _held_out(
        names, dev if isinstance(dev, int | float) else [n for n in dev if Path(n).name not in failures], settings.seed
    )
    kept = [i for i in range(len(names)) if i not in held]
    if not kept or not held:
        raise CaptionError(
            f"{len(names)} captioned images leave {len(kept)} to train on and {len(held)} held out; both must be at least 1. "
            "Give more images, or other --dev."
        )
    generator = torch.Generator().manual_seed(settings.seed)
    train_views, train_captions = views[kept], [captions[i] for i in kept]
    photographs = train_views
    weight = _imagenet_head(classifier) if class_draws else None
    if weight is not None:
        train_views, train_captions = _add_classes(classifier, weight, train_views, train_captions, class_draws, generator)
    if started is not None:
        translator = started[0]
        shape = replace(shape, hidden=translator.to_prefix.in_features, prefix_tokens=translator.prefix_tokens)
        origin = translator_fingerprint(translator)
    else:
        origin = "fresh"
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            translator = _fresh(classifier, lm, shape, photographs, weight, train_views, train_captions, generator)
    translator.set_dropout(shape.dropout)
    translator.to(lm.device)
    history = train(
        translator,
        lm,
        Captioned(train_views, _tokens(lm, train_captions)),
        Captioned(own_views(views[sorted(held)]), _tokens(lm, [captions[i] for i in sorted(held)])),
        settings=settings,
        origin=f"{origin}, dropout {shape.dropout}",
        checkpoint=out.with_name(out.name + ".checkpoint"),
        save_every=save_every,
        on_progress=on_progress,
    )
    card = TranslatorCard(
        classifier=classifier.name,
        classifier_fingerprint=classifier.fingerprint,
        features=classifier.features,
        language_model=lm.name,
        language_model_fingerprint=lm.fingerprint,
        lm_hidden=lm.hidden,
        prefix_tokens=shape.prefix_tokens,
        hidden=shape.hidden,
        seed=settings.seed,
        data={
            "about": data,
            "captions": [source.captions.name for source in sources],
            "images": len(kept),
            "captions_in_all": sum(len(captions[i]) for i in kept),
            "class_draws": class_draws,
            **({} if started is None else {"from": started[1].data}),
        },
        figures={"dev_loss_nats_a_token": min(history), "dev_images": len(held)} if history else {},
        settings=asdict(settings) | asdict(shape),
    )
    save_translator(out, translator, card)
    out.with_name(out.name + ".checkpoint").unlink(missing_ok=True)
    return Trained(out, history, len(kept), len(held), failures)


def _fresh(
    classifier: Classifier,
    lm: LanguageModel,
    shape: Shape,
    photographs: Views,
    head: Tensor | None,
    views: Views,
    captions: Sequence[Sequence[str]],
    generator: torch.Generator,
) -> Translator:
    """A translator that knows which words go with which features, before it has met the language model."""
    translator = Translator(classifier.features, lm.hidden, hidden=shape.hidden, prefix_tokens=shape.prefix_tokens)
    translator.learn_scale(photographs)
    if head is not None:
        translator.start_from_head(head)
    translator.set_dropout(min(0.9, 2 * shape.dropout))  # the probe overfits sooner than the captions do
    vocabulary, weight = warm_start(translator, views, captions, generator=generator)
    words = [embedding.mean(0) for embedding in _embedded(lm, [f" {word}" for word in vocabulary])]
    translator.start_prefix(
        _embedded(lm, [" A short description of the photograph is:"])[0],
        torch.stack(words) if words else torch.zeros(0, lm.hidden),
        weight,
        own_views(photographs).mean(1),
    )
    return translator


def own_views(views: Views) -> Float[Tensor, "images own features"]:
    """The pictures' own views, without their mirror images' (which follow them)."""
    return views[:, : views.shape[1] // 2]


def _read(
    sources: Sequence[CaptionSource], classifier: Classifier, store: Path, on_images: Callable[[int, int], None]
) -> tuple[Views, list[list[str]], list[str], dict[str, str]]:
    paths: list[Path] = []
    captions: list[list[str]] = []
    failures: dict[str, str] = {}
    for source in sources:
        matched = match_captions(read_captions(source.captions), find_images([source.images]))
        failures |= dict.fromkeys(matched.without_image, f"{source.captions} has captions for it, {source.images} no image")
        if matched.without_caption:
            logger.warning("%d images in %s have no caption and are left out", len(matched.without_caption), source.images)
        paths += matched.images
        captions += matched.captions
    found = extract_stored(classifier, paths, store, mirrored=True, on_images=on_images)
    failures |= {paths[i].name: reason for i, reason in found.failures.items()}
    return found.views, [captions[i] for i in found.kept], [paths[i].name for i in found.kept], failures


def _held_out(names: Sequence[str], dev: Sequence[str] | float, seed: int) -> set[int]:
    if isinstance(dev, int | float):
        count = max(1, round(dev * len(names)))
        order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
        return set(order[:count].tolist())
    wanted = {Path(name).name for name in dev}
    if missing := wanted - set(names):
        raise CaptionError(
            f"{len(missing)} of the {len(wanted)} images named by --dev have no features and captions (first: {min(missing)}). "
            "Name images by their file names as in the caption file."
        )
    return {i for i, name in enumerate(names) if name in wanted}


def _imagenet_head(classifier: Classifier) -> Float[Tensor, "classes features"]:
    weight = classifier.head_weight
    if weight is None or len(weight) != len(imagenet_classes()):
        raise ModelError(
            f"'{classifier.name}' has no linear head of 1000 ImageNet classes; classes can only be added to photographs "
            "along its rows. Leave --class-draws at 0."
        )
    return weight


def _add_classes(
    classifier: Classifier,
    weight: Float[Tensor, "classes features"],
    views: Views,
    captions: list[list[str]],
    draws: int,
    generator: torch.Generator,
) -> tuple[Tensor, list[list[str]]]:
    """The photographs, and ``draws`` times each class added to one of them: captions name the class, or tell of the photograph.

    Both, so that the name of what the classifier knows stands beside what else is in the picture instead of in its place.
    """
    predicted = classifier.probabilities(views.mean(1)).argmax(1)
    made, told = [views], list(captions)
    for _ in range(draws):
        rows = torch.randint(len(views), (len(weight),), generator=generator)
        made.append(add_classes(weight, views, predicted, rows, generator=generator))
        for row, of in zip(rows.tolist(), imagenet_classes(), strict=True):
            some = torch.randperm(len(captions[row]), generator=generator)[:_KEPT_CAPTIONS]
            told.append([*class_captions(of), *(captions[row][i] for i in some.tolist())])
    return torch.cat(made), told


#: Captions of a photograph that stay when a class is added to it; there are two or three for the class.
_KEPT_CAPTIONS = 2


def _embedded(lm: LanguageModel, texts: Sequence[str]) -> list[Tensor]:
    return [lm.embeddings[lm.encode(text)[:-1]].float().cpu() for text in texts]


def _tokens(lm: LanguageModel, captions: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    return [[lm.encode(caption) for caption in image] for image in captions]


def check_writable(out: Path) -> None:
    """Raise TranslatorError now rather than after an hour of training."""
    try:
        if out.is_dir():
            raise IsADirectoryError("it is a folder")
        with TemporaryFile(dir=_made(out.parent)):
            pass
    except OSError as error:
        raise TranslatorError(f"Cannot write {out}: {error}. Give --out a file in a folder that you may write to.") from error


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
