"""The README's tables from the figures in benchmarks/results/.

python benchmarks/table.py
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def words() -> str:
    quality = read("quality")["word_quality"]
    names = {
        "words": "**wordsight, starter**",
        "prior": "corpus prior",
        "kNN-60": "captions of the 60 nearest training features",
        "ridge": "ridge regression from features to words",
    }
    rows = [(name, *(f"{quality[key][k]:.3f}" for k in ("P@10", "AP@20", "MR@10"))) for key, name in names.items()]
    return table(("words from", "P@10", "AP@20", "MR@10"), rows)


def other() -> str:
    quality, time = read("quality"), read("explain_time")
    captions = quality["captions"]
    rows = [
        ("overlap (Jaccard) of the top ten words of two random photographs", f"{quality['overlap_of_random_pairs']:.3f}"),
        ("consensus sentence: BLEU-4, CIDEr", f"{captions['BLEU-4']:.3f}, {captions['CIDEr']:.3f}"),
        (
            f"classes never shown in a photograph ({quality['unseen_photographs']} ImageNet photographs): a noun of the class "
            "among the top ten",
            f"{quality['breadth_unseen_classes']:.3f}",
        ),
        (
            "top-1 of the classifier on 500 ImageNet photographs, as used here (two views)",
            f"{quality['classifier_top1_imagenet_sample']:.3f}",
        ),
        (
            f"`wordsight explain`, one photograph, {time['sentences']} sentences: cold / warm",
            f"{time['cold_seconds']} s / {time['warm_seconds']} s",
        ),
        ("the very first start (fetches and converts the weights)", f"{time['first_seconds']} s"),
        ("peak memory", f"{time['peak_mib'] / 1024:.1f} GiB"),
    ]
    return table(("what", "figure"), rows)


def engine() -> str:
    found = read("engine")
    rows = [
        ("5,000 sentences, exact mode", "`generate`", f"{found['exact_5000_times_generate']:.1f} x"),
        ("500 sentences, exact mode", "`generate`", f"{found['exact_500_times_generate']:.1f} x"),
        (
            "word rates as precise as from 5,000 independent sentences",
            "`generate`",
            f"{found['precision_of_5000_times_generate']:.0f} x",
        ),
        (
            "peak memory at 5,000 sentences, language model included",
            "`generate`, "
            + ", ".join(f"batches of {batch}: {mib:,.0f} MiB" for batch, mib in found["peak_mib"]["generate"].items()),
            f"{found['peak_mib']['ours']:,.0f} MiB",
        ),
    ]
    if (RESULTS / "pipeline.json").exists():
        pipeline = read("pipeline")
        rows += [
            ("features, images a second", "plain timm loop", f"{pipeline['features_times_plain']:.1f} x"),
            (
                "training, caption-image pairs a second",
                "plain loop, one caption a row",
                f"{pipeline['training_times_plain']:.1f} x",
            ),
        ]
    return table(("what", "against", "wordsight"), rows)


def variance() -> str:
    """By word of the cat: the variance of its rate as a share of that of independent sentences."""
    found = read("engine")["variance_by_word"]
    ways = ("stratified", "conditional", "both")
    rows = [
        (word, f"{row['rate']:.3f}", *(f"{row[way]:.2f}" for way in ways))
        for word, row in sorted(found["words"].items(), key=lambda item: -item[1]["rate"])
    ]
    return table(("word", "rate", *ways), [*rows, ("median", "", *(f"{found['medians'][way]:.2f}" for way in ways))])


def growth() -> str:
    rows = [
        (
            f"{g['sentences']:,}",
            f"{g['tokens_a_sentence']:.2f}",
            f"{g['seconds']:.1f} s",
            f"{g['share_of_the_machine_s_matrix_rate']:.2f}",
        )
        for g in read("engine")["growth"]
    ]
    return table(("sentences, exact mode", "tokens evaluated a sentence", "time", "of the matrix product's rate"), rows)


def backends() -> str:
    """What a step of 512 beginnings costs in every way that was tried."""
    found = read("backends")
    rows = [
        (name, f"{rate:,}" if isinstance(rate, int) else f"does not run: {rate}")
        for name, rate in found.items()
        if name != "machine"
    ]
    return table(("one step of 512 beginnings", "tokens a second"), rows)


def transfer() -> str:
    found = read("transfer")
    names = {
        "starter": "the starter itself",
        "transfer": "Lite1, transferred, no captions",
        "fine_tuned": "Lite1, transferred and fine-tuned",
        "trained": "Lite1, trained from captions",
    }
    rows = [
        (name, *(f"{found[key]['words'][k]:.3f}" for k in ("P@10", "AP@20", "MR@10")))
        for key, name in names.items()
        if key in found
    ]
    return table(("translator", "P@10", "AP@20", "MR@10"), rows)


if __name__ == "__main__":
    print("\n\n".join(part() for part in (words, other, engine, variance, growth, backends, transfer)))
