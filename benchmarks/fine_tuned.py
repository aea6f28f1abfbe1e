"""A shortcut in the features themselves: the last stage fine-tuned on a biased set, a transferred translator, and an audit.

    python benchmarks/fine_tuned.py SHARED [--task 0] [--agreement 0.95] [--unlabelled 3000] [--sentences 24]

SHARED holds flickr8k/. On the task's training set (see shortcuts.py) the last stage of EfficientNet-Lite0 and a new last layer
are trained; the starter's translator is transferred to the new features by ridge regression on photographs without captions;
audits look at a balanced and a biased set, and the same is done for a head on the starter's own features. Writes
benchmarks/results/fine_tuned.json.
"""

import argparse
import copy
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shortcut_data import Photographs, Split, groups, labels_of, photographs, split
from shortcut_tasks import TASKS, Task
from shortcuts import HARM, accuracies, judged_findings
from starter_data import lines
from wordsight.audits.findings import Limits
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import with_head
from wordsight.classifiers.starter import CROPS, starter_model
from wordsight.classifiers.timm_models import from_timm_model
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored, open_rgb
from wordsight.features.heads import fit_head
from wordsight.images.labelled import LabelledImages
from wordsight.storage import cache_folder
from wordsight.translator.checkpoint import load_translator
from wordsight.translator.transfer import transfer_translator


def fine_tuned(of: Photographs, parts: Split, task: Task, explainer: Explainer, *, epochs: int = 20) -> Classifier:
    """EfficientNet-Lite0 with two classes, its last stage and last layer trained; what comes before stays as it is."""
    torch.manual_seed(0)
    model: Any = starter_model().eval()  # training mode would change the statistics of what is to stay
    model.classifier = nn.Linear(model.classifier.in_features, 2)
    here, label, _ = labels_of(parts.train)
    views = torch.stack([explainer.classifier.prepare(open_rgb(of.files[row])) for row in here])
    count = views.shape[1]
    with torch.inference_mode():
        before = torch.cat([model.blocks[:-1](model.bn1(model.conv_stem(some))) for some in views.flatten(0, 1).split(16)])
    before, label = before.clone(), label.repeat_interleave(count)
    stage = nn.Sequential(model.blocks[-1], model.conv_head, model.bn2, model.global_pool, model.classifier).eval()
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for part in list(stage)[:-1] for p in part.parameters()], "lr": 2e-4},
            {"params": model.classifier.parameters(), "lr": 2e-3},
        ],
        weight_decay=1e-3,
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(before)).split(32):
            loss = nn.functional.cross_entropy(stage(before[rows]), label[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return from_timm_model(model, name="fine-tuned", crops=CROPS, labels=[task.a, task.b], device="cpu")


def tested(classifier: Classifier, of: Photographs, rows: list[np.ndarray]) -> dict[str, float]:
    """Worst group and average over balanced groups."""
    found = extract_stored(classifier, [of.files[row] for row in np.concatenate(rows)], cache_folder() / "features")
    places = np.split(np.arange(len(found.views)), np.cumsum([len(group) for group in rows])[:-1])
    return accuracies(classifier, found.views.mean(1), places)


def audited(explainer: Explainer, of: Photographs, parts: Split, task: Task, sentences: int) -> dict:
    """What audits of both kinds find, and whether that is what was planted."""
    told = {}
    for kind in ("balanced", "biased"):
        rows, label, _ = labels_of(getattr(parts, kind))
        images = LabelledImages([of.files[row] for row in rows], [(task.a, task.b)[int(c)] for c in label])
        audit = audit(explainer, images, sampling=Sampling(sentences=sentences), limits=Limits())
        told[kind] = {"images": len(rows)} | judged_findings(audit.findings, task)
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--task", type=int, default=0, help="number in shortcut_tasks.py")
    parser.add_argument("--agreement", type=float, default=0.95)
    parser.add_argument("--unlabelled", type=int, default=3000)
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fine_tuned.json"))
    options = parser.parse_args()
    task, starter, started = TASKS[options.task], Explainer(), time.time()
    of = photographs(options.shared, starter)
    flickr = options.shared / "flickr8k"
    told: dict = {"machine": f"{platform.machine()}, 2 threads", "task": task.name, "unlabelled": options.unlabelled}
    for agreement in (0.5, options.agreement):
        parts = split(groups(of, task), agreement, 0, of.seen)
        measured = {of.files[row].name for rows in parts.test + parts.audited() for row in rows}
        names_left = [name for name in lines(flickr / "train.txt") if name not in measured]
        unlabelled = [flickr / "images" / name for name in names_left[: options.unlabelled]]
        here, label, _ = labels_of(parts.train)
        head = fit_head(of.z[here], label, (task.a, task.b), starter.classifier)
        own = copy.copy(starter)
        own.classifier = with_head(starter.classifier, head)
        tuned = fine_tuned(of, parts, task, starter)
        file = Path("runs") / "fine_tuned" / f"{agreement}.safetensors"
        moved = transfer_translator(starter.translator, starter.card, starter.classifier, tuned, starter.lm, unlabelled, file)
        told[str(agreement)] = {
            "training_images": len(here),
            "head": tested(own.classifier, of, parts.test) | audited(own, of, parts, task, options.sentences),
            "fine_tuned": tested(tuned, of, parts.test)
            | {"transfer_r2": round(moved.r2, 4)}
            | audited(Explainer(tuned, lm=starter.lm, translator=load_translator(file)), of, parts, task, options.sentences),
        }
        print(json.dumps(told[str(agreement)], indent=1), flush=True)
    for name in ("head", "fine_tuned"):
        lost = told["0.5"][name]["worst"] - told[str(options.agreement)][name]["worst"]
        told[f"{name}_lost"], told[f"{name}_harmful"] = round(lost, 4), lost >= HARM
    told["seconds"] = round(time.time() - started)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
