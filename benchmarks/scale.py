"""What an image costs, how an audit grows with images, classes and words, and where memory goes.

    python benchmarks/scale.py [--out benchmarks/results/scale.json] [--images 100000] [--only audited]

Each part runs in a process of its own, so that its peak memory is its own. Images: parts of photographs from scikit-image and
scikit-learn. Large sets are their features again with noise, and words drawn as often as captions use them (Zipf). Takes half an hour
on two cores, a thousand classes fifteen minutes of it. Seconds are of the clock and of the processor: on a busy machine the second is
the one to go by.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import sparse
from skimage import data
from sklearn.datasets import load_sample_image

from provenance import provenance
from wordsight.audits import SENTENCES
from wordsight.audits.duplicates import fold
from wordsight.audits.evidence import Evidence
from wordsight.audits.explained import explained
from wordsight.audits.findings import Limits, class_words, findings, naming_of, unclear_classes
from wordsight.audits.groups import with_leaders
from wordsight.audits.reliances import Reliances
from wordsight.audits.untested import power, untested
from wordsight.features.extraction import extract
from wordsight.features.store import FeatureStore
from wordsight.models import load_models
from wordsight.runtime import tune_memory
from wordsight.sentences import store as sentences_store
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling

FEATURES = 1280
#: Words that an image's sentences have with a rate worth storing, as measured by the part "image".
WORDS_AN_IMAGE = 60


def photographs(count: int) -> list[Image.Image]:
    loaded = [data.chelsea(), data.coffee(), data.rocket(), data.astronaut()]
    loaded += [load_sample_image(f"{name}.jpg") for name in ("china", "flower")]
    images = []
    for i in range(count):
        image = Image.fromarray(loaded[i % len(loaded)])
        left, top = i * 37 % (image.width // 2), i * 53 % (image.height // 2)
        images.append(image.crop((left, top, left + image.width // 2, top + image.height // 2)))
    return images


def timed(work: Callable[[], object], per: int = 1) -> dict[str, float]:
    """Seconds of the clock and of the processor for each of ``per`` things."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return {"clock": (time.perf_counter() - clock) / per, "processor": (time.process_time() - processor) / per}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def image(threads: int) -> dict:
    """Seconds an image of each stage, and bytes an image of each store."""
    torch.set_num_threads(threads)
    tune_memory()
    models, images = load_models("starter"), photographs(48)
    loaded = peak_mib()
    extract(models.classifier, images[:8])
    found: dict = {}
    found["features"] = timed(lambda: found.update(z=extract(models.classifier, images).views.mean(1)), 48)
    z = found.pop("z")
    models.word_rates(z)
    found["word head"] = timed(lambda: models.word_rates(z), 48)
    sampling = Sampling(sentences=SENTENCES)
    sample(models.lm, models.prefix(z[:16]), sampling, seeds=range(16))
    sampled: list = []

    def sentences() -> None:
        for start in (16, 32):
            part = z[start : start + 16]
            sampled.extend(sample(models.lm, models.prefix(part), sampling, seeds=range(start, start + 16)))

    found["sentences"] = timed(sentences, 32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.json"
        sizes = []
        for one in sampled:
            sentences_store._write(file, one)
            sizes.append(file.stat().st_size)
        before = peak_mib()
        copies = [sentences_store._read(file) for _ in range(4000)]
        held = (peak_mib() - before) * 2**20 / len(copies)
    found |= {"features of an image": z.shape[1], "words of an image": float(np.mean([len(s.rates.words) for s in sampled]))}
    found |= {"bytes of features": 4 * z.shape[1], "bytes of sentences": float(np.mean(sizes)), "bytes of sentences held": held}
    return found | {"MiB of the models": loaded, "peak MiB": before}


def store(images: int) -> dict:
    """Seconds and bytes an image of the store of features."""
    with tempfile.TemporaryDirectory() as folder, FeatureStore(Path(folder), "key") as kept:
        z = torch.randn(64, 1, FEATURES)
        names = [f"{i:064x}" for i in range(images)]

        def write() -> None:
            for start in range(0, images, 64):
                kept.write(dict(zip(names[start : start + 64], z, strict=False)))

        found = {"write": timed(write, images), "read": timed(lambda: kept.read(names), images)}
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    return found | {"bytes": size / images, "peak MiB": peak_mib()}


def copies(images: int) -> dict:
    """Finding near-identical images."""
    random = np.random.default_rng(0)
    z = random.standard_normal((images, FEATURES), dtype=np.float32)
    return timed(lambda: fold(z, [str(i) for i in range(images)])) | {"peak MiB": peak_mib()}


def rates(images: int, words: int) -> sparse.csc_array:
    """Word rates as sentences give them: few words an image, few words frequent."""
    random = np.random.default_rng(0)
    share = 1 / np.arange(1, words + 1)
    counts = random.binomial(images, np.minimum(0.9, share * WORDS_AN_IMAGE / share.sum()))
    rows = np.concatenate([random.choice(images, count, replace=False, shuffle=False).astype(np.int32) for count in counts])
    values = random.uniform(0.05, 1, len(rows)).astype(np.float32)
    return sparse.csc_array((values, rows, np.concatenate([[0], counts.cumsum()])), shape=(images, words))


def audited(images: int, words: int, classes: int) -> dict:
    """An audit from word rates, logits and features to its findings: seconds of each step, one after the other."""
    random = np.random.default_rng(1)
    of_words, label = rates(images, words), random.integers(classes, size=images)
    logits = random.standard_normal((images, classes))
    logits[np.arange(images), label] += 3
    logits[:, 0] += 2 * of_words[:, [20]].toarray()[:, 0]  # a shortcut
    z = random.standard_normal((images, FEATURES), dtype=np.float32)
    names, labels = tuple(f"word{i}" for i in range(words)), tuple(f"class{i}" for i in range(classes))
    made, own = Evidence(names, of_words, label, logits, labels), [frozenset[str]()] * classes
    found: dict = {"MiB of features": z.nbytes / 2**20, "MiB of rates": 2 * of_words.data.nbytes / 2**20}
    found |= {"MiB before": peak_mib()}
    kept: dict = {}
    limits, naming = Limits(), naming_of(made, own, frozenset())
    for step, work in {
        "reliances": lambda: Reliances(made, z),
        "words": lambda: class_words(made, kept["reliances"], own, limits),
        "findings": lambda: with_leaders(made, findings(made, kept["words"]), naming),
        "untested": lambda: (untested(made, kept["words"], limits), power(made, kept["words"])),
        "unclear": lambda: unclear_classes(made, naming),
        "explained": lambda: explained(
            of_words, logits - logits.mean(1, keepdims=True), labels, np.bincount(logits.argmax(1), minlength=classes)
        ),
    }.items():
        found[step] = timed(lambda step=step, work=work: kept.update({step: work()})) | {"peak MiB": peak_mib()}
        print(step, found[step], file=sys.stderr, flush=True)
    whole = {name: sum(found[step][name] for step in kept) for name in ("clock", "processor")}
    return found | whole | {"found": len(kept["findings"]), "peak MiB": peak_mib()}


PARTS = {part.__name__: part for part in (image, store, copies, audited)}


def plan(images: int) -> list[tuple]:
    ten, third = images // 10, images // 3
    return [
        ("image", 1),
        ("image", 2),
        ("store", ten),
        *(("copies", n) for n in (ten // 2, ten, third)),
        *(("audited", n, 500, 10) for n in (ten, third, images)),
        *(("audited", ten, n, 10) for n in (1000, 3000)),
        *(("audited", ten, 500, n) for n in (40, 1000)),
        ("audited", images, 7500, 2),
        ("audited", 10 * images, 10_000, 2),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scale.json"))
    parser.add_argument("--only", help="only parts of this name; the others stay as they were measured")
    parser.add_argument("--part", nargs="+", help="one part, in this process")
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part[0]](*map(int, options.part[1:]))))
        return
    results = json.loads(options.out.read_text())["parts"] if options.only and options.out.exists() else []
    for name, *sizes in plan(options.images):
        if options.only and name != options.only:
            continue
        results = [one for one in results if (one["part"], one["sizes"]) != (name, sizes)]
        command = [sys.executable, __file__, "--part", name, *map(str, sizes)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        results.append({"part": name, "sizes": sizes} | json.loads(ran.stdout.splitlines()[-1]))
        print(json.dumps(results[-1]), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(provenance() | {"parts": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
