"""The tables of the README and of docs/reference/results.md, from the figures in benchmarks/results/.

python benchmarks/table.py
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SETS = {"flickr8k": "Flickr8k", "coco_small": "COCO", "ade_interiors": "interiors (ADE20K)", "dtd_textures": "textures (DTD)"}
WORDS = {
    "words": "**wordsight, starter**",
    "prior": "corpus prior",
    "kNN-60": "captions of the 60 nearest training features",
    "ridge": "ridge regression from features to words",
}


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def words() -> str:
    """P@10 / AP@20 / MR@10 on each set."""
    sets = read("quality")["sets"]
    rows = []
    for key, name in WORDS.items():
        cells = [" / ".join(f"{sets[one][key][k]:.3f}" for k in ("P@10", "AP@20", "MR@10")) for one in SETS]
        rows.append((name, *cells))
    return table(("words from", *(f"{name} ({sets[key]['words']['images']})" for key, name in SETS.items())), rows)


def other() -> str:
    """Everything else that is quoted."""
    quality, time = read("quality"), read("explain_time")
    flickr = quality["sets"]["flickr8k"]
    rows = [
        ("overlap (Jaccard) of the top ten words of two random images, Flickr8k", f"{quality['overlap_of_random_pairs']:.3f}"),
        ("typical sentence, Flickr8k: BLEU-4, CIDEr", f"{flickr['BLEU-4']:.3f}, {flickr['CIDEr']:.3f}"),
        (
            f"ImageNet classes without a training photograph ({quality['unseen_images']} images): a noun of the class among the "
            "top ten",
            f"{quality['breadth_unseen_classes']:.3f}",
        ),
        (
            f"`wordsight explain`, one image, {time['sentences']} sentences: cold / warm",
            f"{time['cold_seconds']} s / {time['warm_seconds']} s",
        ),
        ("the very first start (fetches and converts the weights)", f"{time['first_seconds']} s"),
        ("peak memory", f"{time['peak_mib'] / 1024:.1f} GiB"),
    ]
    return table(("what", "figure"), rows)


def sources() -> str:
    """Where the figures come from."""
    return "\n".join(
        f"`benchmarks/{name}.py`: {found['date']}, commit {found['commit']}, {found['machine']}."
        for name in ("quality", "explain_time")
        for found in [read(name)]
    )


if __name__ == "__main__":
    print("\n\n".join(part() for part in (words, other, sources)))
