"""How a command ends that cannot go on: Ctrl-C, a reader who left, a full disk. Each is one line and a status of its own."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from wordsight.errors import WordsightError
from wordsight.interruption import interrupted

#: The exit status as a shell has it for programs that the signal SIGPIPE ended: 128 and the signal's number.
READER_LEFT = 141

_CANNOT_WRITE = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])


class Commands(TyperGroup):
    """The commands, each ending as the top of the file says. Typer's own ending says nothing of Ctrl-C, and 1 of a closed pipe.

    Raise WordsightError if a disk is full or may not be written to.
    """

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line; --help and --version write here."""
        with _ending():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _ending():
            return super().invoke(ctx)


@contextmanager
def _ending() -> Iterator[None]:
    try:
        try:
            yield
        except typer.Exit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()  # what a pipe or a disk does not take is known now, not when Python ends
    except KeyboardInterrupt:
        raise typer.Exit(interrupted()) from None
    except OSError as error:
        if error.errno == errno.EPIPE:
            _drop_output()
            raise typer.Exit(READER_LEFT) from None
        if error.errno not in _CANNOT_WRITE:
            raise
        _drop_output()
        raise WordsightError(
            f"Something cannot be written ({error}). Make room, write to another place, or name another folder for the cache in "
            "the environment variable WORDSIGHT_CACHE."
        ) from error


def _drop_output() -> None:
    """Let what is still in stdout's buffer go nowhere, as in ``wordsight ... | head -1``: Python would complain of it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except io.UnsupportedOperation:  # no file of the system, as in tests
        sys.stdout = io.StringIO()
