"""How good the starter's words are: against people's captions, against baselines, and on classes never seen.

    python benchmarks/quality.py SHARED [--sentences 128] [--translator FILE] [--out benchmarks/results/quality.json]

SHARED holds flickr8k/, imagenet_sample/, and eval/word_quality.py (the scorer and the baselines). Writes the words of every
photograph to runs/ as it goes and goes on from there, so that an interrupted run loses nothing.
"""

import argparse
import json
import platform
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from starter_data import held_out_class, imagenet_sample, lines
from wordsight.classifiers.imagenet import imagenet_classes
from wordsight.explain import Explainer, Explanation
from wordsight.features.extraction import extract_stored
from wordsight.language.content import lemma
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder
from wordsight.translator.captions import read_captions
from wordsight.words.scores import jaccard


def explain_all(explainer: Explainer, paths: list[Path], sentences: int, target: Path) -> dict[str, dict]:
    """Explanations by file name, in a JSON-lines file that grows as they come."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = {e["image"]: e for e in map(json.loads, target.read_text().splitlines())} if target.exists() else {}
    todo = [p for p in paths if p.name not in done]
    with target.open("a") as file:
        for result in tqdm(explainer.explain_each(todo, Sampling(sentences=sentences)), total=len(todo), mininterval=10):
            assert isinstance(result, Explanation), result
            file.write(result.to_json() + "\n")
            file.flush()
            done[result.image] = json.loads(result.to_json())
    return {p.name: done[p.name] for p in paths}


def scorer(shared: Path, *arguments: str | Path) -> dict[str, dict[str, float]]:
    """Figures that eval/word_quality.py prints, by name."""
    command = [sys.executable, shared / "eval" / "word_quality.py", *arguments]
    printed = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout
    return {
        line.split()[0]: {k: float(v) for k, v in re.findall(r"(P@10|AP@20|MR@10) ([\d.]+)", line)}
        for line in printed.splitlines()
    }


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
    """Mean Jaccard overlap of the top ten words of two different photographs."""
    tops = [list(e["words"])[:10] for e in explained.values()]
    draw = random.Random(0)
    return float(np.mean([jaccard(*draw.sample(tops, 2)) for _ in range(pairs)]))


def breadth(explained: dict[str, dict], labels: dict[str, int]) -> float:
    """Share of photographs whose top ten words hold a noun of their class (imagenet_classes.csv states the rule)."""
    named = [
        bool(set(list(e["words"])[:10]) & {lemma(noun) for noun in imagenet_classes()[labels[name]].nouns})
        for name, e in explained.items()
    ]
    return sum(named) / len(named)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sentences", type=int, default=128)
    parser.add_argument("--translator", type=Path)
    parser.add_argument("--photographs", type=int, default=1000, help="of Flickr8k dev")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.json"))
    options = parser.parse_args()
    shared, started = options.shared, time.time()
    explainer = Explainer(translator=options.translator)
    flickr = shared / "flickr8k"
    train, dev = lines(flickr / "train.txt"), lines(flickr / "dev.txt")[: options.photographs]
    labels = {path.name: index for path, index in imagenet_sample(shared)}
    sample = [path for path, _ in imagenet_sample(shared)]

    store = cache_folder() / "features"
    everything = [flickr / "images" / n for n in train + dev]
    z = extract_stored(explainer.classifier, everything, store).views.mean(1).numpy()
    own = extract_stored(explainer.classifier, sample, store).views.mean(1)
    predicted = explainer.classifier.probabilities(own).argmax(1).tolist()
    runs = Path("runs") / f"quality-{explainer.models.fingerprint[:12]}-{options.sentences}"
    runs.mkdir(parents=True, exist_ok=True)
    np.savez(runs / "features.npz", image=np.array(train + dev), features=z)
    (runs / "dev.txt").write_text("\n".join(dev))

    unseen = [p for p in sample if held_out_class(labels[p.name])]
    far = explain_all(explainer, unseen, options.sentences, runs / "unseen.jsonl")
    near = explain_all(explainer, [flickr / "images" / n for n in dev], options.sentences, runs / "words.jsonl")
    (runs / "dev.jsonl").write_text("\n".join(json.dumps(e) for e in near.values()))
    figures = {
        "machine": f"{platform.machine()}, {platform.processor() or 'unknown CPU'}, 2 threads",
        "translator": explainer.models.fingerprint[:12],
        "sentences": options.sentences,
        "photographs": len(dev),
        "word_quality": scorer(shared, runs / "dev.jsonl", flickr / "captions.csv")
        | scorer(shared, "--baselines", runs / "features.npz", flickr / "captions.csv", flickr / "train.txt", runs / "dev.txt"),
        "overlap_of_random_pairs": round(random_pairs_overlap(near), 4),
        "captions": caption_scores(near, read_captions(flickr / "captions.csv")),
        "breadth_unseen_classes": round(breadth(far, labels), 4),
        "unseen_photographs": len(unseen),
        "classifier_top1_imagenet_sample": sum(p == labels[s.name] for p, s in zip(predicted, sample, strict=True))
        / len(sample),
        "seconds": round(time.time() - started),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
