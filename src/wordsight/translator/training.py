"""Train a translator: captioned images in, a translator out."""

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import CaptionError
from wordsight.features.extraction import extract_stored
from wordsight.images.files import find_images
from wordsight.language.model import LanguageModel
from wordsight.runtime import OnProgress, no_progress
from wordsight.storage import cache_folder
from wordsight.tensors import Views
from wordsight.translator.captions import match_captions, read_captions
from wordsight.translator.checkpoint import TranslatorCard, check_fits, load_translator, save_translator, translator_fingerprint
from wordsight.translator.composed import imagenet_head, with_composed
from wordsight.translator.mlp import Translator
from wordsight.translator.optimisation import Captioned, Settings, train
from wordsight.translator.processes import Processes, launched
from wordsight.translator.reference import reference_features
from wordsight.translator.streams import Shard, read_shards, store_shards, views_on_disk
from wordsight.translator.warm_start import warm_start
from wordsight.translator.word_head import fit_word_head

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptionSource:
    """A caption file and the folder of its images; or WebDataset shards (``.tar``) that hold both, and no folder."""

    captions: str | Path
    images: str | Path | None = None


@dataclass(frozen=True)
class Trained:
    """A trained translator, losses on held-out captions (nats a token), and the images that were left out, with reasons."""

    translator: Translator
    card: TranslatorCard
    dev_losses: list[float]
    images: int
    dev_images: int
    failures: dict[str, str]

    def save(self, path: str | Path) -> Path:
        """Write the translator as safetensors, atomically; returns its path."""
        save_translator(path, self.translator, self.card)
        return Path(path)


def train_translator(
    sources: Sequence[CaptionSource],
    classifier: Classifier,
    lm: LanguageModel,
    *,
    dev: Sequence[str] | float = 0.05,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    start: str | Path | None = None,
    checkpoint: Path | None = None,
    text: Sequence[Sequence[str]] = (),
    terms: str = "",
    on_progress: OnProgress = no_progress,
) -> Trained:
    """Train a translator for a classifier and a language model from captioned images.

    ``dev`` names the images that are held out for the dev loss, or gives their share. ``start`` is a translator file for the
    same models to go on from (a transferred one, for instance) instead of a fresh one; the result is not worse than it on the
    dev loss. With a ``checkpoint`` file an interrupted training goes on from there and ends with the same result; the caller
    deletes it. ``text`` holds captions without images, those of one image together; features are composed for them (see
    ``Composer``). ``terms`` is a sentence about the data and its terms for the card. Features are cached.

    Processes that ``accelerate launch`` or ``torchrun`` started share the work, on one machine or several; each calls this alike.
    The numbers are those of one process up to rounding. Only the first process fits the word head: save its result.

    Raises CaptionError for captions that do not fit for a ``start`` or checkpoint of other models.
    """
    started = None
    if start is not None:
        started = load_translator(start)
        check_fits(started[1], classifier, lm)
    processes = launched(lm.device)
    read = _read(sources, classifier, processes, on_progress)
    held = _held_out(
        read.names,
        dev if isinstance(dev, int | float) else [n for n in dev if Path(n).name not in read.failures],
        settings.seed,
    )
    rows = [i for i in range(len(read.names)) if i not in held]
    if not rows or not held:
        raise CaptionError(
            f"{len(read.names)} captioned images leave {len(rows)} to train on and {len(held)} held out; both must be at least "
            "1. Give more images, or other --dev."
        )
    if read.shards:
        read, rows, held = _held_last(read, rows, sorted(held))
    generator = torch.Generator().manual_seed(settings.seed)
    images, told = _taken(read.views, rows), [read.captions[i] for i in rows]
    weight = imagenet_head(classifier) if settings.class_draws else None
    views, captions = with_composed(
        images, told, text, classifier=classifier, draws=settings.class_draws, generator=generator, device=lm.device
    )
    if started is not None:
        translator, origin = started[0], translator_fingerprint(started[0])
        translator.reference = reference_features(images[_some(images)].mean(1))
    else:
        origin = "fresh"
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            some = _some(views)
            translator = fresh_translator(images[_some(images)], lm, settings, weight, views[some], captions[some], generator)
    translator.set_dropout(settings.dropout)
    words, translator.words = translator.words, None  # fitted anew below, unless nothing is trained
    translator.to(lm.device)
    history = train(
        translator,
        lm,
        Captioned(views, _tokens(lm, captions)),
        Captioned(own_views(_taken(read.views, sorted(held))), _tokens(lm, [read.captions[i] for i in sorted(held)])),
        settings=settings,
        origin=origin,
        checkpoint=checkpoint,
        on_progress=lambda progress: on_progress(progress.stage, progress.step, progress.steps),
    )
    translator.cpu()
    if processes.first and (settings.epochs or words is None):
        some = _some(views)
        words = fit_word_head(translator.standardise(views[some]), captions[some], seed=settings.seed, on_progress=on_progress)
    translator.words = words
    card = fresh_card(classifier, lm, translator, settings)
    data = {
        "about": terms,
        "captions": [Path(source.captions).name for source in sources],
        "images": len(rows),
        "captions_in_all": sum(map(len, told)),
        "captions_without_images": sum(map(len, text)),
        "class_draws": settings.class_draws,
        **({} if started is None else {"from": started[1].data}),
    }
    figures: dict[str, object] = {"dev_loss_nats_a_token": min(history), "dev_images": len(held)} if history else {}
    return Trained(translator, replace(card, data=data, figures=figures), history, len(rows), len(held), read.failures)


def fresh_card(classifier: Classifier, lm: LanguageModel, translator: Translator, settings: Settings) -> TranslatorCard:
    """The card of a translator that was trained for these models, still without what is said of data and figures."""
    return TranslatorCard(
        classifier=classifier.name,
        classifier_fingerprint=classifier.fingerprint,
        features=classifier.features,
        language_model=lm.name,
        language_model_fingerprint=lm.fingerprint,
        lm_hidden=lm.hidden,
        prefix_tokens=translator.prefix_tokens,
        hidden=translator.to_prefix.in_features,
        seed=settings.seed,
        data={},
        settings=asdict(settings),
    )


@dataclass(frozen=True)
class Captions:
    """Captioned images: features of their views, captions, file names, the images that were left out, shards if they were read."""

    views: Views
    captions: list[list[str]]
    names: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)


#: Images that the warm start and the word head learn from at most: they hold all of their words in memory.
_AT_MOST = 100_000


def _some(views: Tensor) -> slice:
    """Every so-many-th image, or all of them."""
    return slice(None, None, math.ceil(len(views) / _AT_MOST))


def _taken(views: Views, rows: list[int]) -> Float[Tensor, "taken views features"]:
    """These rows; without a copy, which may not fit into memory, if they follow each other."""
    first, last = rows[0], rows[-1] + 1
    return views[first:last] if rows == list(range(first, last)) else views[rows]


def _held_last(read: Captions, rows: list[int], held: list[int]) -> tuple[Captions, list[int], set[int]]:
    """Streamed images in another order on disk: those to train on, then those that are held out."""
    order = [*rows, *held]
    about = hashlib.sha256(json.dumps([[str(shard.file) for shard in read.shards], order]).encode()).hexdigest()[:32]
    views = views_on_disk(read.shards, order, read.shards[0].file.with_name(f"{about}.views"))
    ordered = Captions(views, [read.captions[i] for i in order], [read.names[i] for i in order], read.failures)
    return ordered, list(range(len(rows))), set(range(len(rows), len(order)))


def fresh_translator(
    images: Views,
    lm: LanguageModel,
    settings: Settings,
    head: Float[Tensor, "classes features"] | None,
    views: Float[Tensor, "rows views features"],
    captions: Sequence[Sequence[str]],
    generator: torch.Generator,
    *,
    epochs: int = 20,
) -> Translator:
    """A translator that knows which words go with which features, before it has met the language model.

    ``images``: what features usually are. ``head``: weights of the classifier's classes, or None. ``views``, ``captions``: what
    the word probe learns from, in ``epochs`` passes.
    """
    translator = Translator(images.shape[2], lm.hidden, hidden=settings.hidden, prefix_tokens=settings.prefix_tokens)
    translator.learn_scale(images)
    if head is not None:
        translator.start_from_head(head)
    translator.set_dropout(min(0.9, 2 * settings.dropout))  # the probe overfits sooner than the captions do
    vocabulary, weight = warm_start(translator.to(lm.device), views, captions, epochs=epochs, generator=generator)
    words = [embedding.mean(0) for embedding in _embedded(lm, [f" {word}" for word in vocabulary])]
    translator.cpu().start_prefix(
        _embedded(lm, [" A short description of the photograph is:"])[0],
        torch.stack(words) if words else torch.zeros(0, lm.hidden),
        weight,
        own_views(images).mean(1),
    )
    return translator


def own_views(views: Views) -> Float[Tensor, "images own features"]:
    """The images' own views, without their mirror images' (which follow them)."""
    return views[:, : views.shape[1] // 2]


def _read(sources: Sequence[CaptionSource], classifier: Classifier, processes: Processes, on_progress: OnProgress) -> Captions:
    streamed = [source for source in sources if source.images is None]
    if streamed:
        return _read_streams(sources, streamed, classifier, processes, on_progress)
    paths: list[Path] = []
    captions: list[list[str]] = []
    failures: dict[str, str] = {}
    for source in sources:
        assert source.images is not None
        matched = match_captions(read_captions(source.captions), find_images([source.images]))
        failures |= dict.fromkeys(matched.without_image, f"{source.captions} has captions for it, {source.images} no image")
        if matched.without_caption:
            logger.warning("%d images in %s have no caption and are left out", len(matched.without_caption), source.images)
        paths += matched.images
        captions += matched.captions
    store, on_images = cache_folder() / "features", partial(on_progress, "features")
    if processes.count > 1:  # each fills the store of its machine with a share, then all read everything
        share = paths[processes.local_number :: processes.local_count]
        extract_stored(classifier, share, store, mirrored=True, on_images=on_images)
        processes.wait()
    extracted = extract_stored(classifier, paths, store, mirrored=True, on_images=on_images)
    failures |= {paths[i].name: reason for i, reason in extracted.failures.items()}
    rows = extracted.readable
    return Captions(extracted.views, [captions[i] for i in rows], [paths[i].name for i in rows], failures)


def _read_streams(
    sources: Sequence[CaptionSource],
    streamed: Sequence[CaptionSource],
    classifier: Classifier,
    processes: Processes,
    on_progress: OnProgress,
) -> Captions:
    """What the shards hold, without features."""
    if len(streamed) < len(sources):
        raise CaptionError(
            f"{len(streamed)} of {len(sources)} sources of captions are shards, wanted all or none. Train on the shards first, and "
            "go on from the result (--start) with the others."
        )
    folder, shards = cache_folder() / "shards", []
    for source in streamed:
        own = slice(processes.local_number, None, processes.local_count)
        store_shards(str(source.captions), classifier, folder, own=own, on_images=partial(on_progress, "features"))
    processes.wait()
    for source in streamed:
        shards += read_shards(str(source.captions), classifier, folder)
    return Captions(
        torch.empty(0, 1, classifier.features),
        [captions for shard in shards for captions in shard.captions],
        [name for shard in shards for name in shard.names],
        {name: reason for shard in shards for name, reason in shard.failures.items()},
        shards,
    )


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


def _embedded(lm: LanguageModel, texts: Sequence[str]) -> list[Tensor]:
    return [lm.embedded(text).float().cpu() for text in texts]


def _tokens(lm: LanguageModel, captions: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    return [[lm.encode(caption) for caption in image] for image in captions]
