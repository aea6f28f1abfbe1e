"""The command line: thin wrappers that parse, show progress on stderr, print results on stdout."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from wordsight.errors import CaptionError, ImageError, WordsightError
from wordsight.version import __version__

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def main() -> None:
    """Entry point: errors raised on purpose end with one line and exit status 2, without a traceback."""
    sys.path.insert(0, str(Path.cwd()))  # so that --classifier my_module:function finds a module here, as python -m would
    try:
        app()
    except WordsightError as error:
        typer.echo(f"wordsight: {error}", err=True)
        sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wordsight {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """What an image classifier learned, in words."""


Classifier = Annotated[
    str,
    typer.Option(help="starter, timm:NAME, timm:NAME@WEIGHTS.safetensors, head:FILE, or package.module:function of your own."),
]
Lm = Annotated[str | None, typer.Option(help="Language model: a folder or a Hugging Face name. Default: the starter's.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")]
Seed = Annotated[int, typer.Option(help="Same seed, same machine: same output.")]


@app.command()
def explain(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, or glob patterns.", metavar="IMAGE|FOLDER|GLOB")],
    sentences: Annotated[int, typer.Option(min=1, help="Sentences sampled for each image; thousands work.")] = 500,
    top_p: Annotated[float, typer.Option(help="Nucleus: the share of probability kept at each token, in (0, 1].")] = 0.9,
    temperature: Annotated[float, typer.Option(help="Divides the logits; above 0.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens a sentence at most.")] = 24,
    mode: Annotated[str, typer.Option(help="stratified (rates vary less), or exact: like independent samples.")] = "stratified",
    precision: Annotated[
        float | None, typer.Option(help="Sample on until every word's 95% interval is at most this far to either side.")
    ] = None,
    memory: Annotated[int, typer.Option(min=1, help="MiB for the language model's keys and values at a time.")] = 1024,
    seed: Seed = 0,
    translator: Annotated[Path | None, typer.Option(help="A translator file. Default: the starter's.")] = None,
    classifier: Classifier = "starter",
    lm: Lm = None,
    device: Device = "cpu",
    top: Annotated[int, typer.Option(min=1, help="Words shown; JSON always holds at least 50.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write word cloud, bar chart and overview as PNG, and JSON, here.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.")] = False,
) -> None:
    """Explain photographs: what the classifier's features hold, as words with rates."""
    from wordsight.explain import Explainer, Explanation
    from wordsight.sentences.nucleus import Sampling

    sampling = _checked(lambda: Sampling(top_p=top_p, temperature=temperature, max_tokens=max_tokens, mode=mode))
    if precision is not None and not 0 < precision < 1:
        raise typer.BadParameter(f"--precision is {precision}, wanted a number between 0 and 1, for instance 0.02.")
    paths, failed = _find(images)
    if out is not None:
        _refuse_to_overwrite(paths, out)
    with _download_bar() as on_bytes:
        explainer = Explainer.load(classifier=classifier, lm=lm, translator=translator, device=device, on_bytes=on_bytes)
    explained, asked = 0, len(paths) + len(failed)
    taken: set[str] = set()
    with _bar("sentences", "sentence") as on_sentences:
        for result in explainer.explain_each(
            paths,
            sentences=sentences,
            sampling=sampling,
            precision=precision,
            memory=memory << 20,
            seed=seed,
            on_sentences=on_sentences,
        ):
            if not isinstance(result, Explanation):
                failed.append(result.reason)
                tqdm.write(f"{result.image}: {result.reason}", file=sys.stderr)
                continue
            explained += 1
            if out is not None:
                _write_pictures(result, out, taken, top)
            text = result.to_json(words=max(50, top)) if json_lines else _as_text(result, top)
            tqdm.write(text, file=sys.stdout)
    if failed or asked > 1:
        typer.echo(f"explained {explained} of {asked} images" + (f"; {len(failed)} failed" if failed else ""), err=True)
    if failed:
        raise typer.Exit(1)


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
        int, typer.Option(min=0, help="Features made from each row of an ImageNet head, with the class's name as caption.")
    ] = 0,
    start: Annotated[Path | None, typer.Option(help="Go on from this translator, a transferred one for instance.")] = None,
    data: Annotated[str, typer.Option(help="A sentence on the data and its terms, for the translator's card.")] = "",
) -> None:
    """Train a translator for a classifier and a language model from captioned images. Interrupted, it goes on."""
    from wordsight.explain import load_models
    from wordsight.train import CaptionSource, Shape, check_writable, train_translator
    from wordsight.translator.training import Progress, Settings

    if len(captions) != len(images):
        raise typer.BadParameter(f"{len(captions)} --captions but {len(images)} --images; give one folder a caption file.")
    check_writable(out)
    with _download_bar() as on_bytes:
        model, language_model = load_models(classifier=classifier, lm=lm, device=device, on_bytes=on_bytes)
    with _bar("features", "image") as on_images, tqdm(desc="training", unit="step", disable=None) as bar:

        def on_progress(progress: Progress) -> None:
            bar.total = progress.steps
            dev_loss = f"{progress.dev_loss:.3f}" if progress.dev_loss is not None else "-"
            bar.set_postfix_str(f"loss {progress.loss:.3f}, dev {dev_loss}", refresh=False)
            bar.update(progress.step - bar.n)

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
    _name_failures(trained.failures)
    total = trained.images + trained.dev_images + len(trained.failures)
    typer.echo(f"used {trained.images + trained.dev_images} of {total} images", err=True)
    if trained.failures:
        raise typer.Exit(1)


@app.command()
def head(
    data: Annotated[str, typer.Argument(help="A folder with a folder a class, or a table with the columns image and label.")],
    out: Annotated[Path, typer.Option(help="The head's file, .safetensors.")],
    classifier: Annotated[str, typer.Option(help="The classifier whose features it reads, named as for explain.")] = "starter",
    split: Annotated[str | None, typer.Option(help="Train on this split of the data. Default: all of it.")] = None,
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the images kept to measure accuracy on.")] = 0.2,
    penalty: Annotated[float, typer.Option(min=0, help="Of the squared weights; 1/C in scikit-learn.")] = 1.0,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Train a last layer for classes of your own on a classifier's features, in seconds. Use it as head:FILE."""
    from wordsight.explain import named_classifier
    from wordsight.heads import train_head
    from wordsight.images.labelled import read_labelled
    from wordsight.train import check_writable

    images = read_labelled(data)
    if split is not None:
        images = images.split(split)
    check_writable(out)
    with _download_bar() as on_bytes:
        model = named_classifier(classifier, device=device, on_bytes=on_bytes)
    with _bar("features", "image") as on_images:
        made = train_head(images, model, out, held_out=held_out, penalty=penalty, seed=seed, on_images=on_images)
    typer.echo(
        json.dumps(
            {
                "head": str(made.file),
                "labels": list(made.head.labels),
                "images": made.images,
                "left_out": len(made.failures),
                **made.head.figures,
            }
        )
    )
    _name_failures(made.failures)
    if made.failures:
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
    from wordsight.explain import Explainer, load_models, named_classifier
    from wordsight.starter import starter_translator
    from wordsight.train import check_writable
    from wordsight.transfer import caption_agreement, transfer_translator
    from wordsight.translator.captions import read_captions
    from wordsight.translator.checkpoint import load_translator

    paths, failed = _find(images)
    check_writable(out)
    pair = starter_translator() if from_ == "starter" else load_translator(from_)
    people = read_captions(captions) if captions is not None else {}
    captioned = [path for path in paths if path.name in people][:most]
    if captions is not None and not captioned:
        raise CaptionError(
            f"None of the {len(paths)} images has a caption in {captions}. Name images by their file names there."
        )
    paths = [path for path in paths if path not in captioned]
    with _download_bar() as on_bytes:
        old, language_model = load_models(classifier=from_classifier, lm=lm, device=device, on_bytes=on_bytes)
    new = named_classifier(classifier, device=device)
    with _bar("features", "image") as on_images:
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
            with _bar(f"sentences {name}", "sentence") as on_sentences:
                explainer = Explainer(model, language_model, *translator)
                told[name] = vars(caption_agreement(explainer, captioned, people, on_sentences=on_sentences))
    typer.echo(json.dumps(told))
    _name_failures(made.failures)
    if made.failures or failed:
        raise typer.Exit(1)


def _name_failures(failures: dict[str, str]) -> None:
    for name, reason in failures.items():
        typer.echo(f"{name}: {reason}", err=True)


def _find(places: list[str]) -> tuple[list[Path], list[str]]:
    """The images of all places, and the reasons for places that have none; an error if no place has any."""
    from wordsight.images.files import find_images

    paths: list[Path] = []
    failed: list[str] = []
    for place in places:
        try:
            paths += [path for path in find_images([place]) if path not in paths]
        except ImageError as error:
            failed.append(str(error))
    if not paths:
        raise ImageError(" ".join(failed))
    for reason in failed:
        typer.echo(reason, err=True)
    return paths, failed


def _refuse_to_overwrite(paths: list[Path], out: Path) -> None:
    """Make the output folder, and refuse it if a picture to be written would replace one to be explained."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WordsightError(f"Cannot write to --out {out} ({error}). Give a folder, or a free name for one.") from error
    here = {path.resolve() for path in paths}
    for path in paths:
        for ending in ("words", "bars", "cloud"):
            target = (out / f"{path.stem}.{ending}.png").resolve()
            if target in here:
                raise WordsightError(f"--out {out} would replace {target}, which is to be explained. Give another folder.")


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


def _as_text(result, top: int) -> str:
    lines = [result.image, "  classifier: " + ", ".join(f"{p.label} {p.probability:.0%}" for p in result.prediction[:3])]
    lines.append(f"  {'word':<16}{'rate':>6}  {'95% interval':<14}{'lift':>6}   ({result.sentences} sentences)")
    for s in result.table[:top]:
        lift = f"{s.lift:+.1f}" if s.lift is not None else ""
        lines.append(f"  {s.word:<16}{s.rate:>6.1%}  {s.low:>5.1%} - {s.high:<6.1%}{lift:>6}")
    return "\n".join([*lines, *(f'  "{sentence}"' for sentence in result.examples), ""])


def _write_pictures(result, out: Path, taken: set[str], top: int) -> None:
    from wordsight.report.plots import bar_chart, save, word_cloud

    stem = base = Path(result.image).stem
    number = 1
    while stem in taken:
        number += 1
        stem = f"{base}-{number}"
    taken.add(stem)
    save(word_cloud(result.table, title=result.image), out / f"{stem}.cloud.png")
    save(bar_chart(result.table, title=result.image, top=top), out / f"{stem}.bars.png")
    save(result.plot(), out / f"{stem}.words.png")
    with (out / "explanations.jsonl").open("w" if len(taken) == 1 else "a", encoding="utf-8") as file:
        file.write(result.to_json() + "\n")  # line by line, so that an interrupted run keeps what it has


def _checked(make):
    try:
        return make()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def _bar(name: str, unit: str):
    """A progress callback (done, total) with a bar on stderr, silent where stderr is no terminal."""
    with tqdm(desc=name, unit=unit, disable=None, leave=False) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


@contextmanager
def _download_bar():
    """A progress callback for downloads; shown even without a terminal, since the first start is long."""
    bars: dict[str, tqdm] = {}

    def report(name: str, done: int, total: int) -> None:
        if name not in bars:
            bars[name] = tqdm(desc=f"fetching {name}", total=total, unit="B", unit_scale=True, mininterval=2)
        bars[name].update(done - bars[name].n)

    try:
        yield report
    finally:
        for bar in bars.values():
            bar.close()


if __name__ == "__main__":
    main()
