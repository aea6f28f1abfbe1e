"""Train the translator that comes inside the package.

    python benchmarks/train_starter.py SHARED runs/starter.safetensors

SHARED holds flickr8k/ (captions.csv, dev.txt, images/), imagenet_sample/ and imagenette/. About 45 minutes on two cores that
multiply bfloat16; interrupted, it goes on. Measure the result with benchmarks/quality.py.
"""

import sys
from pathlib import Path

from tqdm import tqdm

from starter_data import imagenet_sample, imagenette, lines, write_class_captions
from wordsight.explain import load_models
from wordsight.train import CaptionSource, train_translator

TERMS = (
    "Flickr8k train (Hodosh, Young and Hockenmaier 2013; 6,000 photographs, research and education only), class names as "
    "captions for ImageNet photographs of 250 classes and of Imagenette, and for features made from the classifier head's rows"
)


def main(shared: Path, out: Path) -> None:
    classifier, lm = load_models()
    captions = out.parent / "captions"
    write_class_captions(imagenet_sample(shared), captions / "imagenet_sample.csv")
    write_class_captions(imagenette(shared), captions / "imagenette.csv")
    sources = [
        CaptionSource(shared / "flickr8k" / "captions.csv", shared / "flickr8k" / "images"),
        CaptionSource(captions / "imagenet_sample.csv", shared / "imagenet_sample"),
        CaptionSource(captions / "imagenette.csv", shared / "imagenette"),
    ]
    with tqdm(unit="step") as bar:

        def on_progress(p) -> None:
            bar.total = p.steps
            bar.set_postfix_str(f"loss {p.loss:.3f}, dev {p.dev_loss or float('nan'):.3f}")
            bar.update(p.step - bar.n)

        trained = train_translator(
            sources, classifier, lm, out, dev=lines(shared / "flickr8k" / "dev.txt"), class_draws=4, data=TERMS,
            on_progress=on_progress,
        )  # fmt: skip
    print(trained.dev_losses)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
