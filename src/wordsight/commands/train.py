"""wordsight train"""

import json
from pathlib import Path
from typing import Annotated

import typer

from wordsight.commands.progress import progress
from wordsight.commands.shared import Classifier, Device, Lm, Seed, app, checked, name_failures, writing


@app.command()
def train(
    captions: Annotated[
        list[str],
        typer.Option(
            help="Caption file: CSV/TSV, COCO JSON or Flickr tokens. Or WebDataset shards (.tar; braces, patterns and addresses "
            "like s3:// are understood) that hold images and captions. Repeatable."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The translator's file, .safetensors.")],
    images: Annotated[
        list[Path] | None, typer.Option(help="Folder of the images of the caption file with the same number. None for shards.")
    ] = None,
    dev: Annotated[str, typer.Option(help="Held out: a share, or a text file with an image name a line.")] = "0.05",
    classifier: Classifier = "starter",
    lm: Lm = None,
    device: Device = "auto",
    seed: Seed = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the images.")] = 4,
    batch: Annotated[int, typer.Option(min=1, help="Images a step, each with all its captions.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="At its highest, after the warm-up.")] = 1e-3,
    prefix_tokens: Annotated[int, typer.Option(min=1, help="Vectors that the language model gets.")] = 8,
    hidden: Annotated[int, typer.Option(min=2, help="Width of the translator.")] = 1024,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="Captions without images, one a line; a blank line ends those of one image. Features are composed for them. "
            "Repeatable."
        ),
    ] = None,
    class_draws: Annotated[
        int, typer.Option(min=0, help="How many times features are composed for each class of an ImageNet head.")
    ] = 0,
    start: Annotated[Path | None, typer.Option(help="Go on from this translator, a transferred one for instance.")] = None,
    terms: Annotated[str, typer.Option(help="A sentence on the data and its terms, for the translator's card.")] = "",
) -> None:
    """Train a translator for a classifier and a language model from captioned images. An interrupted training goes on.

    On several GPUs or machines: accelerate launch -m wordsight train ...
    """
    from wordsight.classifiers.registry import load_classifier
    from wordsight.language.devices import chosen_device
    from wordsight.models import named_language_model
    from wordsight.storage import check_writable
    from wordsight.translator.captions import read_text
    from wordsight.translator.optimisation import Settings
    from wordsight.translator.processes import launched, leave
    from wordsight.translator.training import CaptionSource, train_translator

    folders: list[Path | None] = [*images] if images else []
    if not folders and all(file.lower().endswith(".tar") for file in captions):
        folders = [None] * len(captions)
    if len(captions) != len(folders):
        raise typer.BadParameter(f"{len(captions)} --captions but {len(folders)} --images; give one folder a caption file.")
    held_out = _held_out(dev)
    settings = checked(
        lambda: Settings(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            seed=seed,
            hidden=hidden,
            prefix_tokens=prefix_tokens,
            class_draws=class_draws,
        )
    )
    check_writable(out)
    device = chosen_device(device)
    processes = launched(device)
    checkpoint = out.with_name(out.name + ".checkpoint")
    with progress(hidden=not processes.first) as on_progress:
        model = load_classifier(classifier, device=device, on_progress=on_progress)
        language_model = named_language_model(lm, device=device, on_progress=on_progress)
    with progress(hidden=not processes.first) as on_progress:
        trained = train_translator(
            [CaptionSource(file, folder) for file, folder in zip(captions, folders, strict=True)],
            model,
            language_model,
            dev=held_out,
            settings=settings,
            start=start,
            checkpoint=checkpoint,
            text=[group for file in text or [] for group in read_text(file)],
            terms=terms,
            on_progress=on_progress,
        )
    leave()
    if not processes.first:
        return
    with writing(out):
        trained.save(out)
    checkpoint.unlink(missing_ok=True)
    used, left_out = trained.images + trained.dev_images, len(trained.failures)
    entry = {"translator": str(out), "dev_loss": min(trained.dev_losses, default=None)}
    typer.echo(json.dumps(entry | {"images": trained.images, "dev_images": trained.dev_images, "left_out": left_out}))
    name_failures(trained.failures)
    typer.echo(f"used {used} of {used + left_out} images", err=True)
    if trained.failures:
        raise typer.Exit(1)


def _held_out(dev: str) -> list[str] | float:
    try:
        share = float(dev)
    except ValueError:
        file = Path(dev)
        if not file.is_file():
            raise typer.BadParameter(f"--dev is '{dev}', wanted a share like 0.05 or a text file of image names.") from None
        try:
            return [line.strip() for line in file.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
        except (OSError, ValueError) as error:
            raise typer.BadParameter(
                f"--dev {dev} cannot be read ({error}), wanted UTF-8 text with an image name a line."
            ) from None
    if not 0 < share < 1:
        raise typer.BadParameter(f"--dev is {dev}, wanted a share between 0 and 1, or a text file of image names.")
    return share
