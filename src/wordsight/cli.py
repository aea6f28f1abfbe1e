"""The command line's entry point."""

import gc
import io
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from wordsight.commands import audit, classes, compare, explain, head, mitigate, train, transfer  # noqa: F401 (each adds its command)
from wordsight.commands.shared import app, log_to_stderr
from wordsight.errors import WordsightError
from wordsight.fetch import is_set
from wordsight.interruption import interrupted
from wordsight.runtime import tune_memory, tune_threads
from wordsight.version import __version__


def main() -> None:
    """Entry point: errors raised on purpose end with one line and exit status 2; with --debug, with a traceback before it."""
    debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]  # it may stand anywhere
    sys.path.insert(0, str(Path.cwd()))  # so that --classifier my_module:function finds a module here, as python -m would
    # What the caller closed (>&-) is None, to which nothing can be written.
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show is escaped
    if is_set("WORDSIGHT_OFFLINE"):
        os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers and timm look at it
    log_to_stderr()
    try:
        tune_threads()
        tune_memory()
        gc.set_threshold(20_000)  # by default Python looks for garbage every few hundred objects; imports make a million
        app()
    except KeyboardInterrupt:  # before or after the command itself
        sys.exit(interrupted())
    except WordsightError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"wordsight: {error}", err=True)
        sys.exit(2)
    finally:
        gc.freeze()  # the process ends: to look through all objects of PyTorch and transformers once more would take a second


def _version(wanted: bool | None) -> None:
    if wanted:
        typer.echo(f"wordsight {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from. May stand anywhere.")] = False,
) -> None:
    """What an image classifier learned, in words."""
