"""Train the translator that comes inside the package.

    python benchmarks/train_starter.py SHARED runs/starter.safetensors

SHARED holds flickr8k/ (captions.csv, train.txt, dev.txt, images/), imagenet_sample/ and imagenette/. About three hours on two
cores that multiply bfloat16; interrupted, it goes on. The dev loss is taken on 200 of the dev photographs, to save time; the
others are left out. Measure the result with benchmarks/quality.py.
"""

import sys
from pathlib import Path

from tqdm import tqdm

from starter_data import imagenet_sample, imagenette, lines, write_captions_of, write_class_captions
from wordsight.explain import load_models
from wordsight.train import CaptionSource, Shape, train_translator
from wordsight.translator.training import Settings

TERMS = (
    "Flickr8k train (Hodosh, Young and Hockenmaier 2013; 6,000 photographs, research and education only), class names as "
    "captions for ImageNet photographs of 250 classes and of Imagenette, and for features made from the classifier head's rows"
)


def main(shared: Path, out: Path) -> None:
    classifier, lm = load_models()
    captions = out.parent / "captions"
    write_class_captions(imagenet_sample(shared), captions / "imagenet_sample.csv")
    write_class_captions(imagenette(shared), captions / "imagenette.csv")
    flickr8k = shared / "flickr8k"
    dev = lines(flickr8k / "dev.txt")[:200]
    write_captions_of(set(lines(flickr8k / "train.txt") + dev), flickr8k / "captions.csv", captions / "flickr8k.csv")
    sources = [
        CaptionSource(captions / "flickr8k.csv", flickr8k / "images"),
        CaptionSource(captions / "imagenet_sample.csv", shared / "imagenet_sample"),
        CaptionSource(captions / "imagenette.csv", shared / "imagenette"),
    ]
    first, second = out.with_name("first.safetensors"), out.with_name("second.safetensors")
    stages = (
        (first, {"class_draws": 2, "settings": Settings(epochs=5, memory=0)}),
        # Stronger regularisation from the best of the first stage: by then photographs' words are learned by heart.
        (
            second,
            {
                "class_draws": 1,
                "settings": Settings(epochs=2, learning_rate=3.5e-4, noise=0.5, memory=0, seed=1),
                "shape": Shape(dropout=0.5),
                "start": first,
            },
        ),
        # Stronger still, at a high rate again, and the mean of some 300 steps' weights.
        (
            out,
            {
                "class_draws": 2,
                "settings": Settings(epochs=5, learning_rate=8e-4, noise=0.5, memory=0.997, seed=2, patience=99),
                "shape": Shape(dropout=0.6),
                "start": second,
            },
        ),
    )
    for target, options in stages:
        if target.exists():
            continue
        with tqdm(unit="step") as bar:

            def on_progress(p, bar=bar) -> None:
                bar.total = p.steps
                bar.set_postfix_str(f"loss {p.loss:.3f}, dev {p.dev_loss or float('nan'):.3f}")
                bar.update(p.step - bar.n)

            trained = train_translator(sources, classifier, lm, target, dev=dev, data=TERMS, on_progress=on_progress, **options)
        print(trained.dev_losses)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
