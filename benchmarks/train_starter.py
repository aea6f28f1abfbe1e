"""Train the translator that comes inside the package.

    python benchmarks/train_starter.py SHARED runs/starter.safetensors

SHARED holds flickr8k/ (captions.csv, train.txt, dev.txt, images/). About four hours on two cores that multiply bfloat16;
interrupted, it goes on. The dev loss is taken on 200 of the dev photographs, to save time; the others are left out. Measure the
result with benchmarks/quality.py.

The shipped file had these stages, but for the first three of them classes were features of the head's rows alone, and 1,150
ImageNet photographs with nothing but their class's name for a caption were in the data (docs/model-card.md). Neither is done
any more: the translator learned to say the class and nothing else.
"""

import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from starter_data import lines, write_captions_of
from wordsight.models import load_models
from wordsight.runtime import tune_memory
from wordsight.translator.checkpoint import load_translator, save_translator
from wordsight.translator.optimisation import Settings
from wordsight.translator.training import CaptionSource, train_translator

TERMS = (
    "Flickr8k train (Hodosh, Young and Hockenmaier 2013; 6,000 photographs, research and education only), class names as "
    "captions for photographs to whose features the direction of a class in the classifier head was added"
)


def save_mean(one: Path, other: Path, out: Path) -> None:
    """The mean of two translators' weights: each stage forgets a little of what the one before knew."""
    (first, _), (second, card) = load_translator(one), load_translator(other)
    weights = first.state_dict()
    second.load_state_dict({name: weights[name].lerp(value, 0.5) for name, value in second.state_dict().items()})
    save_translator(out, second, card)


def main(shared: Path, out: Path) -> None:
    tune_memory()  # as the commands do
    models = load_models()
    classifier, lm = models.classifier, models.lm
    flickr8k, captions = shared / "flickr8k", out.parent / "flickr8k.csv"
    dev = lines(flickr8k / "dev.txt")[:200]
    captions.parent.mkdir(parents=True, exist_ok=True)
    write_captions_of(set(lines(flickr8k / "train.txt") + dev), flickr8k / "captions.csv", captions)
    sources = [CaptionSource(captions, flickr8k / "images")]
    first, second, third, fourth, mean = (out.with_name(f"stage-{number}.safetensors") for number in range(1, 6))
    stages: tuple[tuple[Path, dict[str, Any]], ...] = (
        (first, {"settings": Settings(class_draws=2, epochs=5, averaging=0)}),
        # Stronger regularisation from the best of the first stage: by then photographs' words are learned by heart.
        (
            second,
            {
                "settings": Settings(
                    class_draws=1, epochs=2, learning_rate=3.5e-4, noise=0.5, averaging=0, seed=1, dropout=0.5
                ),
                "start": first,
            },
        ),
        # Stronger still, at a high rate again, and the mean of some 300 steps' weights.
        (
            third,
            {
                "settings": Settings(
                    class_draws=2, epochs=5, learning_rate=8e-4, noise=0.5, averaging=0.997, seed=2, patience=99, dropout=0.6
                ),
                "start": second,
            },
        ),
        # Once more from a high rate; a shorter mean.
        (
            fourth,
            {
                "settings": Settings(
                    class_draws=2, epochs=2, learning_rate=8e-4, noise=0.5, averaging=0.99, seed=3, patience=99, dropout=0.6
                ),
                "start": third,
            },
        ),
        # Nothing is trained: the dev loss of the mean of the last two is taken.
        (out, {"settings": Settings(class_draws=2, epochs=0), "start": mean}),
    )
    for target, options in stages:
        if target.exists():
            continue
        if target == out:
            save_mean(third, fourth, mean)
        with tqdm(unit="step") as bar:

            def on_progress(stage: str, done: int, total: int, bar=bar) -> None:
                bar.total = total
                bar.set_postfix_str(stage)
                bar.update(done - bar.n)

            checkpoint = target.with_suffix(".checkpoint")
            trained = train_translator(
                sources, classifier, lm, dev=dev, terms=TERMS, checkpoint=checkpoint, on_progress=on_progress, **options
            )
            trained.save(target)
        print(trained.dev_losses)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
