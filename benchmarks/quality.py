"""How good the starter's words are: against people's captions, against baselines, and on classes never seen.

    python benchmarks/quality.py SHARED [--sentences 48] [--translator FILE] [--images 500] [--out benchmarks/results/quality.json]

SHARED holds flickr8k/, coco_small/, ade_interiors/ and dtd_textures/ (images/, captions.csv, train.txt, dev.txt) and
imagenet_sample/. Of each dev.txt the second, fourth, ... line is measured, at most --images of them: the others may choose things.
Baselines learn from all four train.txt. Explanations are written to runs/ as they come, so that an interrupted run goes on.
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom, norm
from tqdm import tqdm

from provenance import provenance
from starter_data import SETS, held_out_class, imagenet_sample, lines
from table import EDGES
from word_quality import Known, baselines, ranked, score
from wordsight.classifiers.imagenet import imagenet_classes
from wordsight.explain import Explainer, Explanation
from wordsight.features.extraction import extract_stored
from wordsight.language.content import content_words, lemma
from wordsight.runtime import tune_memory
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder
from wordsight.translator.captions import read_captions
from wordsight.words import SOURCES
from wordsight.words.joined import head_words, join
from wordsight.words.scores import jaccard


def explain_all(explainer: Explainer, paths: list[Path], sentences: int, target: Path) -> dict[str, dict]:
    """Explanations by file name, in a JSON-lines file that grows as they come."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = {e["image"]: e for e in map(json.loads, target.read_text().splitlines())} if target.exists() else {}
    todo = [path for path in paths if path.name not in done]
    with target.open("a") as file:
        for result in tqdm(explainer.explain_each(todo, Sampling(sentences=sentences)), total=len(todo), mininterval=10):
            assert isinstance(result, Explanation), result
            line = json.loads(result.to_json()) | {"of": rates_by_source(explainer, result)}
            file.write(json.dumps(line) + "\n")
            file.flush()
            done[result.image] = line
    return {path.name: done[path.name] for path in paths}


def rates_by_source(explainer: Explainer, result: Explanation) -> dict[str, dict[str, tuple[float, float]]]:
    """Source -> word -> rate and half-width of its interval, above 0.1%, from the same sentences."""
    head = explainer.models.word_rates(result.z)
    of_head = None if head is None else head_words(head, 0)
    return {
        source: {
            word: (round(found.rate.rate, 5), round((found.rate.high - found.rate.low) / 2, 5))
            for word, found in join(result.sampled.rates, of_head, source).items()
            if found.rate.rate >= 0.001
        }
        for source in SOURCES
    }


def rates_of_source(explained: dict, source: str) -> dict[str, float]:
    """Word -> rate of one explanation."""
    return {word: rate for word, (rate, _) in explained["of"][source].items()}


def coverage(explained: dict[str, dict], captions: dict[str, list[str]], source: str, *, width: bool = True) -> float:
    """How often the words of people lie where the 95% intervals say: words said at 2% or more.

    So many of an image's captions use a word as a binomial number says whose rate is normal around the estimate, with the
    interval's half-width (without ``width``: exactly the estimate). Where the number that was used falls in that distribution is
    uniform if the interval is right (randomised, since the numbers are whole): the share between 2.5% and 97.5% is returned.
    """
    draw, quantiles = np.random.default_rng(0), norm.ppf((np.arange(31) + 0.5) / 31)
    inside = []
    for image, e in explained.items():
        people = [content_words(caption) for caption in captions[image]]
        for word, (rate, half) in e["of"][source].items():
            if rate < 0.02:
                continue
            used = sum(word in person for person in people)
            rates = np.clip(rate + quantiles * half / 1.96 * width, 0, 1)
            below, at = binom.cdf(used - 1, len(people), rates).mean(), binom.pmf(used, len(people), rates).mean()
            inside.append(0.025 <= below + draw.random() * at <= 0.975)
    return round(float(np.mean(inside)), 4)


def calibration(explained: dict[str, dict], captions: dict[str, list[str]], source: str) -> list[dict[str, float]]:
    """Words by said rate: the mean said rate, and the share of people (captions) who used the word."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for image, e in explained.items():
        people = [content_words(caption) for caption in captions[image]]
        for word, rate in rates_of_source(e, source).items():
            said = sum(word in person for person in people) / len(people)
            bins.setdefault(int(np.searchsorted(EDGES, rate, side="right")), []).append((rate, said))
    means = {b: np.mean(pairs, 0) for b, pairs in sorted(bins.items())}
    return [
        {"said": round(float(said), 4), "people": round(float(people), 4), "words": len(bins[b])}
        for b, (said, people) in means.items()
    ]


def caption_scores(explained: dict[str, dict], captions: dict[str, list[str]]) -> dict[str, float]:
    """BLEU-4 and CIDEr of the sentence that agrees best with the others (pycocoevalcap, Java tokenizer)."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenise = PTBTokenizer().tokenize
    people = tokenise({n: [{"caption": c} for c in captions[n]] for n in explained})
    ours = tokenise({n: [{"caption": e["examples"][0]}] for n, e in explained.items()})
    bleu, _ = Bleu(4).compute_score(people, ours, verbose=0)
    cider, _ = Cider().compute_score(people, ours)
    return {"BLEU-4": round(float(bleu[3]), 4), "CIDEr": round(float(cider), 4)}


def random_pairs_overlap(explained: dict[str, dict], pairs: int = 20_000) -> float:
    """Mean Jaccard overlap of the top ten words of two different images."""
    tops = [list(e["words"])[:10] for e in explained.values()]
    draw = random.Random(0)
    return float(np.mean([jaccard(*draw.sample(tops, 2)) for _ in range(pairs)]))


def breadth(explained: dict[str, dict], labels: dict[str, int]) -> float:
    """Share of images whose top ten words hold a noun of their class (imagenet_classes.csv states the rule)."""
    named = [
        bool(set(list(e["words"])[:10]) & {lemma(noun) for noun in imagenet_classes()[labels[name]].nouns})
        for name, e in explained.items()
    ]
    return sum(named) / len(named)


def features_of(explainer: Explainer, paths: list[Path]) -> np.ndarray:
    return extract_stored(explainer.classifier, paths, cache_folder() / "features").views.mean(1).double().numpy()


def main() -> None:
    tune_memory()  # as the commands do
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sentences", type=int, default=48)
    parser.add_argument("--translator", type=Path)
    parser.add_argument("--images", type=int, default=500, help="of each set, at most")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.json"))
    options = parser.parse_args()
    shared, started = options.shared, time.time()
    explainer = Explainer(translator=options.translator)
    runs = Path("runs") / f"quality-{explainer.models.fingerprint[:12]}-{options.sentences}"
    captions = {name: read_captions(shared / name / "captions.csv") for name in SETS}
    train = [(name, image) for name in SETS for image in lines(shared / name / "train.txt")]
    known = Known(
        features_of(explainer, [shared / name / "images" / image for name, image in train]),
        [captions[name][image] for name, image in train],
    )
    figures: dict = provenance() | {"translator": explainer.models.fingerprint[:12], "sentences": options.sentences, "sets": {}}
    for name in SETS:
        dev = lines(shared / name / "dev.txt")[1::2][: options.images]
        paths = [shared / name / "images" / image for image in dev]
        explained = explain_all(explainer, paths, options.sentences, runs / f"{name}.jsonl")
        found: dict[str, Any] = {
            source: score({image: ranked(rates_of_source(e, source)) for image, e in explained.items()}, captions[name])
            for source in SOURCES
        }
        found["calibration"] = {source: calibration(explained, captions[name], source) for source in SOURCES}
        found["coverage"] = {source: coverage(explained, captions[name], source) for source in SOURCES}
        found["coverage_without_width"] = {s: coverage(explained, captions[name], s, width=False) for s in SOURCES}
        found |= baselines(known, features_of(explainer, paths), dev, captions[name])
        figures["sets"][name] = found | caption_scores(explained, captions[name])
        if name == "flickr8k":
            figures["overlap_of_random_pairs"] = round(random_pairs_overlap(explained), 4)
        print(name, json.dumps(figures["sets"][name]), flush=True)
    sample = list(imagenet_sample(shared))
    labels = {path.name: index for path, index in sample}
    unseen = [path for path, index in sample if held_out_class(index)][: options.images]
    explained = explain_all(explainer, unseen, options.sentences, runs / "unseen.jsonl")
    figures |= {"breadth_unseen_classes": round(breadth(explained, labels), 4), "unseen_images": len(unseen)}
    z = extract_stored(explainer.classifier, [path for path, _ in sample], cache_folder() / "features").views.mean(1)
    predicted = explainer.classifier.probabilities(z).argmax(1).tolist()
    right = [p == index for p, (_, index) in zip(predicted, sample, strict=True)]
    figures |= {"classifier_top1_imagenet_sample": sum(right) / len(right), "seconds": round(time.time() - started)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
