"""What the commands share: the application, common options, progress, output files."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from wordsight.commands.endings import Commands
from wordsight.commands.progress import progress
from wordsight.errors import ImageError, WordsightError
from wordsight.storage import CannotWrite

if TYPE_CHECKING:
    from wordsight.explain import Explainer
    from wordsight.sentences.sampling import Sampling

app = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Made = TypeVar("Made")

Classifier = Annotated[
    str,
    typer.Option(
        help="starter, timm:NAME[@FILE[@LABELS.txt]], torchvision:NAME[@FILE[@LABELS.txt]], hf:NAME_OR_FOLDER, head:FILE, "
        "path/to/file.py:function or package.module:function."
    ),
]
OwnImages = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        help="For a classifier other than the starter: photographs (folder, files or pattern; no labels needed). Its "
        "translator is made from them, once. Repeatable.",
    ),
]
Lm = Annotated[
    str | None,
    typer.Option(
        help="Language model: a folder, a .gguf file or a Hugging Face name; NAME@4bit: in 4 bits. Default: the starter's."
    ),
]
Translator = Annotated[Path | None, typer.Option(help="A translator file. Default: the starter's, or the classifier's own.")]
Data = Annotated[
    str,
    typer.Argument(
        help="Labelled images: a folder with a folder for each class, a table with the columns image and label, or a Hugging "
        "Face dataset (a folder that save_to_disk wrote, or hf:OWNER/NAME)."
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default="320, on a GPU a quarter of what is free",
        help="MiB for the language model's keys and values at a time.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, ...; auto: the fastest here, measured once.")]
Seed = Annotated[int, typer.Option(help="Same seed, same machine: same output.")]
SentencesOption = Annotated[int, typer.Option(min=1, help="Sentences sampled for each image.")]


def load_explainer(
    classifier: str,
    images: list[str] | None,
    translator: Path | None,
    lm: str | None,
    device: str,
    memory: int | None,
) -> "Explainer":
    """The explainer that these options name, with progress bars for what has to be fetched or made first."""
    from wordsight.explain import Explainer

    with progress() as on_progress:
        return Explainer(
            classifier,
            images=images,
            translator=translator,
            lm=lm,
            device=device,
            memory=None if memory is None else memory << 20,
            on_progress=on_progress,
        )


def sampling_of(**options) -> "Sampling":
    """The sampling that these options name; a wrong value ends the command before any model is loaded."""
    from wordsight.sentences.sampling import Sampling

    return checked(lambda: Sampling(**options))


def find(sources: list[str]) -> tuple[list[Path], list[str]]:
    """The images of all sources, and the reasons for sources that have none; an error if no source has any."""
    from wordsight.images.files import find_images

    paths: list[Path] = []
    failed: list[str] = []
    for source in sources:
        try:
            paths += [path for path in find_images([source]) if path not in paths]
        except ImageError as error:
            failed.append(str(error))
    if not paths:
        raise ImageError(" ".join(failed))
    for reason in failed:
        typer.echo(reason, err=True)
    return paths, failed


def make_folder(out: Path) -> None:
    """Make an output folder, or say why it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out) as trial:
            trial.write(b"x")
    except OSError as error:
        raise WordsightError(
            f"Cannot write to --out {out} ({error}). Give a folder that you may write to, or a free name for one."
        ) from error


@contextmanager
def writing(out: Path, shown: Callable[[], str] = str) -> Iterator[None]:
    """A disk that is full by now ends the command in one line; ``shown``: what was computed, as text for stdout."""
    try:
        yield
    except CannotWrite as error:
        if text := shown():
            typer.echo(text)
        raise WordsightError(
            f"Cannot write {out} ({error}). Make room there, or give another --out, and run the command again: features, sentences "
            "and checkpoints are stored, so it goes on from here."
        ) from error


def name_failures(failures: dict[str, str]) -> None:
    """Write each image that was left out, with the reason, to stderr."""
    for name, reason in failures.items():
        typer.echo(f"{name}: {reason}", err=True)


def checked(make: Callable[[], Made]) -> Made:
    """What ``make`` makes; its ValueError as an error of usage."""
    try:
        return make()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def log_to_stderr() -> None:
    """Show what the library logs (warnings, and what takes long) as plain lines."""
    logging.basicConfig(format="wordsight: %(message)s", level=logging.WARNING, force=True)
