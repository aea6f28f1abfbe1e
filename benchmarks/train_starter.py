"""Train the translator that comes inside the package, and its word head, from scratch.

    python benchmarks/train_starter.py features SHARED runs/starter.safetensors
    python benchmarks/train_starter.py train SHARED runs/starter.safetensors OUT.safetensors [--epochs 10] [--device cuda] ...
    python benchmarks/train_starter.py words SHARED runs/starter.safetensors OUT.safetensors
    python benchmarks/train_starter.py reference SHARED OUT.safetensors
    python benchmarks/train_starter.py baseline

SHARED holds flickr8k/, coco_small/, ade_interiors/ and dtd_textures/ (images/, captions.csv, train.txt, dev.txt) and
captions_text/ (flickr30k.txt.gz, coco.txt.gz). ``features`` needs the photographs and takes a quarter of an hour on two cores;
``train`` takes minutes on a data-centre GPU (two cores: days) and needs the features and captions only; ``words`` replaces the word
head of a translator (a quarter of an hour on one core); ``reference`` gives usual features to one that has none (two minutes);
``baseline`` samples what lifts are measured against, once OUT stands in the package. The weights of the lowest loss on the odd lines
of the dev sets are kept: the even lines are for measuring (quality.py).
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import wordsight
from starter_data import SETS, group_captions, lines, read_text_captions
from wordsight.classifiers.registry import load_classifier
from wordsight.features.extraction import extract_stored
from wordsight.models import load_models
from wordsight.runtime import tune_memory
from wordsight.storage import cache_folder, replacing
from wordsight.translator.captions import read_captions
from wordsight.translator.checkpoint import load_translator, save_translator
from wordsight.translator.composed import with_composed
from wordsight.translator.optimisation import Captioned, Settings, dev_loss, train
from wordsight.translator.reference import reference_features
from wordsight.translator.training import fresh_card, fresh_translator
from wordsight.translator.word_head import fit_word_head
from wordsight.words.baseline import SHIPPED, write_shipped

TERMS = (
    "Photographs with captions: Flickr8k train (Hodosh, Young and Hockenmaier 2013; research and education only); parts of COCO "
    "(Lin et al. 2014; captions CC BY 4.0), of ADE20K interiors with Tell-me-more captions, of DTD with Describing Textures phrases "
    "(research only). Captions without photographs: Flickr30k (Young et al. 2014; research only) and COCO"
)
#: Features are stored in steps of a tenth of their spread: far below the noise that training adds.
STEP = 0.1
#: How many times a photograph of each set counts: the small sets are not to be drowned.
REPEATS: dict[str, int] = dict(zip(SETS, (1, 2, 4, 2), strict=True))


class Photographs:
    """Captions and features of the photographs, as ``features`` wrote them."""

    def __init__(self, shared: Path, file: Path) -> None:
        stored = load_file(file)
        self.classifier = load_classifier("starter")
        of_set = {name: read_captions(shared / name / "captions.csv") for name in SETS}
        self.train, self.dev = named(shared, "train"), named(shared, "dev")
        self.captions = [of_set[name][image] for name, image in self.train]
        self.dev_captions = [of_set[name][image] for name, image in self.dev]
        self.views = stored["views"].float() * STEP * stored["spread"] + stored["mean"]
        self.views = self.views.clamp(min=0) if bool(stored["positive"]) else self.views
        self.dev_views = stored["dev_views"].float()
        self.text = [g for name in ("flickr30k", "coco") for g in group_captions(read_text_captions(shared, name))]

    def everything(self, draws: int, generator: torch.Generator, device: str, *, times: int = 1) -> tuple[Tensor, list]:
        """Photographs (the small sets several times), captions without photographs and classes: features and captions.

        ``times``: how often all photographs count; composed features are many and not quite like photographs'.
        """
        views, captions = with_composed(
            self.views, self.captions, self.text, classifier=self.classifier, draws=draws, generator=generator, device=device
        )
        again = [i for i, (name, _) in enumerate(self.train) for _ in range(times * REPEATS[name] - 1)]
        return torch.cat([views, self.views[again]]), captions + [self.captions[i] for i in again]


def named(shared: Path, part: str) -> list[tuple[str, str]]:
    """Set and file name of the training photographs, or of every other of the dev photographs."""
    step = 1 if part == "train" else 2
    return [(name, image) for name in SETS for image in lines(shared / name / f"{part}.txt")[::step]]


def features(shared: Path, out: Path) -> None:
    tune_memory()  # as the commands do
    classifier = load_classifier("starter")

    def views_of(part: str, *, mirrored: bool) -> Tensor:
        paths = [shared / name / "images" / image for name, image in named(shared, part)]
        extracted = extract_stored(classifier, paths, cache_folder() / "features", mirrored=mirrored)
        assert not extracted.failures, extracted.failures
        return extracted.views

    views = views_of("train", mirrored=True)
    mean, spread = views.mean(1).mean(0), views.mean(1).std(0, correction=0) + 1e-3
    stored = {
        "views": ((views - mean) / spread / STEP).round().clamp(-127, 127).to(torch.int8),
        "dev_views": views_of("dev", mirrored=False).half(),
        "mean": mean,
        "spread": spread,
        "positive": (views >= 0).all(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as partial:
        save_file(stored, partial)


def train_starter(options: argparse.Namespace) -> None:
    from wordsight.language.starter import starter_language_model

    started, device = time.monotonic(), options.device
    torch.set_float32_matmul_precision("high")
    lm = starter_language_model(dtype=torch.bfloat16 if device == "cuda" else torch.float32, device=device)
    photographs = Photographs(options.shared, options.features)
    settings = Settings(
        **{name: getattr(options, name) for name in ("epochs", "batch", "seed", "hidden", "prefix_tokens", "class_draws")},
        **{name: getattr(options, name) for name in ("learning_rate", "trunk_rate", "noise", "averaging", "dropout")},
        patience=99,
        evaluations=2,
    )
    generator = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)
    views, captions = photographs.everything(settings.class_draws, generator, device)
    print(f"{len(views)} rows after {time.monotonic() - started:.0f} s", flush=True)
    weight = photographs.classifier.head_weight
    translator = fresh_translator(photographs.views, lm, settings, weight, views, captions, generator, epochs=4)
    translator.set_dropout(settings.dropout)
    print(f"warm after {time.monotonic() - started:.0f} s", flush=True)
    tokens = [[lm.encode(c) for c in image] for image in captions]
    dev = Captioned(photographs.dev_views, [[lm.encode(c) for c in image] for image in photographs.dev_captions])
    shown = 0

    def on_progress(progress) -> None:
        nonlocal shown
        if progress.step - shown >= 100:
            shown = progress.step
            print(f"{progress.step}/{progress.steps} {progress.stage} {time.monotonic() - started:.0f} s", flush=True)

    translator.to(device)
    history = train(translator, lm, Captioned(views, tokens), dev, settings=settings, on_progress=on_progress)
    by_set = {}
    for name in SETS:
        rows = [i for i, (of, _) in enumerate(photographs.dev) if of == name]
        part = Captioned(dev.views[rows], [dev.captions[i] for i in rows])
        by_set[name] = round(dev_loss(translator, lm, part, batch=64), 4)
    print(history, by_set, flush=True)
    card = replace(
        fresh_card(photographs.classifier, lm, translator, settings),
        data={"about": TERMS, "images": len(photographs.views), "captions_without_images": sum(map(len, photographs.text))},
        figures={"dev_loss_nats_a_token": min(history), "dev_images": len(dev.views), "dev_losses": by_set},
    )
    save_translator(options.out, translator.cpu(), card)


def words(options: argparse.Namespace) -> None:
    """Replace the word head of a translator."""
    translator, card = load_translator(options.out)
    photographs = Photographs(options.shared, options.features)
    generator = torch.Generator().manual_seed(options.seed)
    views, captions = photographs.everything(options.class_draws, generator, options.device, times=options.times)
    translator.words = fit_word_head(
        translator.standardise(views),
        captions,
        epochs=options.epochs,
        members=options.members,
        min_images=options.min_images,
        hidden=options.hidden,
        rank=options.rank,
        seed=options.seed,
        device=options.device,
    )
    save_translator(options.out, translator, replace(card, data=card.data | {"word_head_rows": len(views)}))


def reference(shared: Path, out: Path) -> None:
    """Usual features from 2,000 of the training photographs, evenly."""
    every = [shared / name / "images" / image for name, image in named(shared, "train")]
    paths = [every[round(i * (len(every) - 1) / 1999)] for i in range(2000)]
    extracted = extract_stored(load_classifier("starter"), paths, cache_folder() / "features")
    assert not extracted.failures, extracted.failures
    translator, card = load_translator(out)
    translator.reference = reference_features(extracted.views.mean(1))
    save_translator(out, translator, card)


def main() -> None:
    tune_memory()
    parser = argparse.ArgumentParser()
    stages = parser.add_subparsers(dest="stage", required=True)
    stages.add_parser("baseline")
    of_reference = stages.add_parser("reference")
    of_reference.add_argument("shared", type=Path)
    of_reference.add_argument("out", type=Path)
    for stage in ("features", "train", "words"):
        of_stage = stages.add_parser(stage)
        of_stage.add_argument("shared", type=Path)
        of_stage.add_argument("features", type=Path)
        if stage != "features":
            of_stage.add_argument("out", type=Path)
            of_stage.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
            of_stage.add_argument("--seed", type=int, default=0)
            of_stage.add_argument("--class-draws", type=int, default=4 if stage == "train" else 12)
            of_stage.add_argument("--epochs", type=int, default=8 if stage == "train" else 4)
        if stage == "train":
            for name, default in {"batch": 192, "hidden": 1536, "prefix-tokens": 12}.items():
                of_stage.add_argument(f"--{name}", type=int, default=default)
            for name, default in {
                "learning-rate": 1.5e-3, "trunk-rate": 0.4, "noise": 0.5, "averaging": 0.998, "dropout": 0.5,
            }.items():  # fmt: skip
                of_stage.add_argument(f"--{name}", type=float, default=default)
        if stage == "words":
            for name, default in {"members": 4, "min-images": 10, "hidden": 768, "rank": 192, "times": 4}.items():
                of_stage.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.stage == "baseline":
        write_shipped(load_models(), Path(wordsight.__file__).with_name(SHIPPED))
    elif options.stage == "reference":
        reference(options.shared, options.out)
    elif options.stage == "features":
        features(options.shared, options.features)
    else:
        (train_starter if options.stage == "train" else words)(options)


if __name__ == "__main__":
    main()
