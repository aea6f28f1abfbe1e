"""wordsight head"""

import json
from pathlib import Path
from typing import Annotated

import typer

from wordsight.commands.progress import progress
from wordsight.commands.shared import Classifier, Data, Device, Seed, app, name_failures, writing


@app.command()
def head(
    data: Data,
    out: Annotated[Path, typer.Option(help="The head's file, .safetensors.")],
    classifier: Classifier = "starter",
    split: Annotated[
        str | None,
        typer.Option(help="Train on this split. Default: train, if there is a test or val split to measure on, else all."),
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the images kept aside to measure accuracy, without splits.")
    ] = 0.2,
    penalty: Annotated[float, typer.Option(min=0, help="Of the squared weights; 1/C in scikit-learn.")] = 1.0,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train a last layer for your own classes on a classifier's features, in seconds. Use it as head:FILE."""
    from wordsight.classifiers.registry import load_classifier
    from wordsight.features.heads import train_head
    from wordsight.images.labelled import read_labelled
    from wordsight.language.devices import chosen_device
    from wordsight.storage import check_writable

    images = read_labelled(data, split=split)
    check_writable(out)
    device = chosen_device(device)
    with progress() as on_progress:
        model = load_classifier(classifier, device=device, on_progress=on_progress)
    with progress() as on_progress:
        trained = train_head(images, model, held_out=held_out, penalty=penalty, seed=seed, on_progress=on_progress)
    with writing(out):
        trained.save(out)
    entry = {"head": str(out), "labels": list(trained.head.labels), "images": trained.images}
    typer.echo(json.dumps(entry | {"left_out": len(trained.failures), **trained.head.figures}))
    name_failures(trained.failures)
    if trained.failures:
        raise typer.Exit(1)
