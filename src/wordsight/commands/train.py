"""wordsight train and transfer"""

import json
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from wordsight.commands.shared import Classifier, Device, Lm, Seed, app, bar, download_bar, find, name_failures
from wordsight.errors import CaptionError


@app.command()
def train(
    captions: Annotated[list[Path], typer.Option(help="Caption file: CSV/TSV, COCO JSON or Flickr tokens. Repeatable.")],
    images: Annotated[list[Path], typer.Option(help="Folder of the images of the caption file at the same place.")],
    out: Annotated[Path, typer.Option(help="The translator's file, .safetensors.")],
    dev: Annotated[str, typer.Option(help="Held out: a share, or a text file with an image name a line.")] = "0.05",
    classifier: Classifier = "starter",
    lm: Lm = None,
    device: Device = "cpu",
    seed: Seed = 0,
    epochs: Annotated[int, typer.Option(min=1)] = 4,
    batch: Annotated[int, typer.Option(min=1, help="Images a step, each with all its captions.")] = 16,
    learning_rate: Annotated[float, typer.Option()] = 1e-3,
    prefix_tokens: Annotated[int, typer.Option(min=1, help="Vectors that the language model gets.")] = 8,
    hidden: Annotated[int, typer.Option(min=2, help="Width of the translator.")] = 1024,
    class_draws: Annotated[
        int,
        typer.Option(min=0, help="How often each class of an ImageNet head is added to a photograph (docs/training.md)."),
    ] = 0,
    start: Annotated[Path | None, typer.Option(help="Go on from this translator, a transferred one for instance.")] = None,
    data: Annotated[str, typer.Option(help="A sentence on the data and its terms, for the translator's card.")] = "",
) -> None:
    """Train a translator for a classifier and a language model from captioned images. Interrupted, it goes on."""
    from wordsight.models import load_models
    from wordsight.translator.optimisation import Progress, Settings
    from wordsight.translator.training import CaptionSource, Shape, check_writable, train_translator

    if len(captions) != len(images):
        raise typer.BadParameter(f"{len(captions)} --captions but {len(images)} --images; give one folder a caption file.")
    check_writable(out)
    with download_bar() as on_bytes:
        model, language_model = load_models(classifier=classifier, lm=lm, device=device, on_bytes=on_bytes)
    with bar("features", "image") as on_images, tqdm(desc="training", unit="step", disable=None) as steps:

        def on_progress(progress: Progress) -> None:
            steps.total = progress.steps
            dev_loss = f"{progress.dev_loss:.3f}" if progress.dev_loss is not None else "-"
            steps.set_postfix_str(f"loss {progress.loss:.3f}, dev {dev_loss}", refresh=False)
            steps.update(progress.step - steps.n)

        trained = train_translator(
            [CaptionSource(c, i) for c, i in zip(captions, images, strict=True)],
            model,
            language_model,
            out,
            dev=_held_out(dev),
            class_draws=class_draws,
            settings=Settings(epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed),
            shape=Shape(hidden=hidden, prefix_tokens=prefix_tokens),
            start=start,
            data=data,
            on_images=on_images,
            on_progress=on_progress,
        )
    typer.echo(
        json.dumps(
            {
                "translator": str(trained.translator),
                "dev_loss": min(trained.dev_losses, default=None),
                "images": trained.images,
                "dev_images": trained.dev_images,
                "left_out": len(trained.failures),
            }
        )
    )
    name_failures(trained.failures)
    total = trained.images + trained.dev_images + len(trained.failures)
    typer.echo(f"used {trained.images + trained.dev_images} of {total} images", err=True)
    if trained.failures:
        raise typer.Exit(1)


@app.command()
def transfer(
    images: Annotated[list[str], typer.Option(help="Image files, folders, or glob patterns; no captions needed. Repeatable.")],
    classifier: Annotated[str, typer.Option(help="The new classifier, named as for explain.")],
    out: Annotated[Path, typer.Option(help="The new translator's file, .safetensors.")],
    from_: Annotated[str, typer.Option("--from", help="starter, or the translator file to start from.")] = "starter",
    from_classifier: Annotated[str, typer.Option(help="The classifier that --from was made for.")] = "starter",
    lm: Lm = None,
    device: Device = "cpu",
    seed: Seed = 0,
    captions: Annotated[
        Path | None, typer.Option(help="Captions of some of the images: how well do the words agree, before and after?")
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, help="Captioned images to explain for that, at most; the transfer does not see them.")
    ] = 100,
) -> None:
    """Make a translator for a new classifier from unlabelled images, by ridge regression between the features."""
    from wordsight.classifiers.registry import named_classifier
    from wordsight.explain import Explainer
    from wordsight.models import load_models, starter_translator
    from wordsight.translator.captions import read_captions
    from wordsight.translator.checkpoint import load_translator
    from wordsight.translator.training import check_writable
    from wordsight.translator.transfer import transfer_translator

    paths, failed = find(images)
    check_writable(out)
    pair = starter_translator() if from_ == "starter" else load_translator(from_)
    people = read_captions(captions) if captions is not None else {}
    captioned = [path for path in paths if path.name in people][:most]
    if captions is not None and not captioned:
        raise CaptionError(
            f"None of the {len(paths)} images has a caption in {captions}. Name images by their file names there."
        )
    paths = [path for path in paths if path not in captioned]
    with download_bar() as on_bytes:
        old, language_model = load_models(classifier=from_classifier, lm=lm, device=device, on_bytes=on_bytes)
    new = named_classifier(classifier, device=device)
    with bar("features", "image") as on_images:
        made = transfer_translator(*pair, old, new, language_model, paths, out, seed=seed, on_images=on_images)
    told: dict[str, object] = {
        "translator": str(made.translator),
        "r2": round(made.r2, 4),
        "penalty": made.penalty,
        "images": made.images,
        "left_out": len(made.failures) + len(failed),
    }
    for name, model, translator in (("before", old, pair), ("after", new, load_translator(out))):
        if captioned:
            with bar(f"sentences {name}", "sentence") as on_sentences:
                explainer = Explainer(model, language_model, *translator)
                told[name] = vars(caption_agreement(explainer, captioned, people, on_sentences=on_sentences))
    typer.echo(json.dumps(told))
    name_failures(made.failures)
    if made.failures or failed:
        raise typer.Exit(1)


def _held_out(dev: str) -> list[str] | float:
    try:
        share = float(dev)
    except ValueError:
        file = Path(dev)
        if not file.is_file():
            raise typer.BadParameter(f"--dev is '{dev}', wanted a share like 0.05 or a text file of image names.") from None
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not 0 < share < 1:
        raise typer.BadParameter(f"--dev is {dev}, wanted a share between 0 and 1, or a text file of image names.")
    return share


def caption_agreement(explainer, images, captions, *, sentences: int = 64, on_sentences=lambda done, total: None):
    """How well an explainer's words agree with captions, by file name, of images that it should not have seen."""
    from wordsight.explain import Explanation
    from wordsight.words.agreement import agreement

    results = explainer.explain_each(images, sentences=sentences, on_sentences=on_sentences)
    return agreement({r.image: r.top(20) for r in results if isinstance(r, Explanation)}, captions)
