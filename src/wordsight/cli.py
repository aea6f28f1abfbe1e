"""The command line's entry point."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from wordsight.commands.shared import app
from wordsight.errors import WordsightError
from wordsight.version import __version__


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


if __name__ == "__main__":
    main()
