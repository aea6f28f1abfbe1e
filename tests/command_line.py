"""The command line in this process, for tests."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from wordsight.cli import main


@dataclass
class Ran:
    returncode: int
    stdout: str
    stderr: str


def wordsight(folder: Path, *arguments: str, offline: bool = True) -> Ran:
    """The command in this process, as typed in a folder; ``offline``: with a cache of its own and no network."""
    alone = {"WORDSIGHT_CACHE": str(folder / "cache"), "WORDSIGHT_INDEX_URL": "http://127.0.0.1:9"}
    environment = alone if offline else {}
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["wordsight", *arguments])
        patch.setattr(sys, "path", list(sys.path))
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    return Ran(status, out.getvalue(), err.getvalue())
