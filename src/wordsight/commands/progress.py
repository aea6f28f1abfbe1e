"""How far a command has come, on stderr: bars in a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from tqdm import tqdm

#: Seconds between two lines.
_SECONDS = 15


@contextmanager
def progress(*, hidden: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A progress callback (stage, done, total): in a terminal a bar for each stage, elsewhere a line every 15 seconds.

    Both say how much time is left. ``hidden``: silent, for one of several processes.
    """
    shown = _Bars() if sys.stderr.isatty() else _Lines()
    try:
        yield _silent if hidden else shown
    finally:
        shown.close()


def _silent(stage: str, done: int, total: int) -> None:
    pass


class _Bars:
    """A bar for each stage. What stands in brackets in a stage's name is shown beside its bar."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        name, _, detail = stage.partition(" (")
        if name not in self._bars:
            self._bars[name] = tqdm(desc=name, **_unit(name))
        bar = self._bars[name]
        bar.total = total or None  # a server need not say
        bar.update(done - bar.n)
        if detail.rstrip(")") != (bar.postfix or ""):
            bar.set_postfix_str(detail.rstrip(")"))

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()


class _Lines:
    """A line now and then about the stage that is under way."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}
        self._last = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        name, now = stage.partition(" (")[0], time.monotonic()
        began, first = self._began.setdefault(name, (now, done))
        if now - self._last < _SECONDS:
            return
        self._last = now
        meter = tqdm.format_meter(
            done,
            total or None,  # pyright: ignore[reportArgumentType]  (None: not known)
            now - began,
            initial=first,
            prefix=name,
            bar_format="{desc}: {n_fmt} of {total_fmt}, {remaining} left",
            **_unit(name),
        )
        typer.echo(f"wordsight: {meter}", err=True)

    def close(self) -> None:
        pass


def _unit(name: str) -> dict:
    return {"unit": "B", "unit_scale": True} if name.startswith("fetching ") else {}
