"""What the commands share: the application, common options, progress, images by place."""

from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from wordsight.errors import ImageError, WordsightError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Classifier = Annotated[
    str,
    typer.Option(help="starter, timm:NAME, timm:NAME@WEIGHTS.safetensors, head:FILE, or package.module:function of your own."),
]
Lm = Annotated[str | None, typer.Option(help="Language model: a folder or a Hugging Face name. Default: the starter's.")]
Translator = Annotated[Path | None, typer.Option(help="A translator file. Default: the starter's.")]
Data = Annotated[
    str,
    typer.Argument(
        help="A folder with a folder a class, a table with the columns image and label, or a Hugging Face dataset: its folder "
        "(save_to_disk) or hf:OWNER/NAME."
    ),
]
Memory = Annotated[int, typer.Option(min=1, help="MiB for the language model's keys and values at a time.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")]
Seed = Annotated[int, typer.Option(help="Same seed, same machine: same output.")]


def find(places: list[str]) -> tuple[list[Path], list[str]]:
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


def make_folder(out: Path) -> None:
    """Make an output folder, or say why it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WordsightError(f"Cannot write to --out {out} ({error}). Give a folder, or a free name for one.") from error


def name_failures(failures: dict[str, str]) -> None:
    for name, reason in failures.items():
        typer.echo(f"{name}: {reason}", err=True)


def checked(make):
    try:
        return make()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def bar(name: str, unit: str):
    """A progress callback (done, total) with a bar on stderr, silent where stderr is no terminal."""
    with tqdm(desc=name, unit=unit, disable=None, leave=False) as shown:

        def report(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield report


@contextmanager
def download_bar():
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
