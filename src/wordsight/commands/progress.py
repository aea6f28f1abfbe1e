"""Progress on stderr: bars in a terminal, elsewhere a line now and then."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import typer
from tqdm import tqdm

from wordsight.runtime import OnProgress

#: Seconds between two lines of a stage, where there is no terminal.
EVERY = 15.0


@contextmanager
def progress(*, always: bool = False, hidden: bool = False) -> Iterator[OnProgress]:
    """A progress callback (stage, done, total): a bar for each stage in a terminal, ``Lines`` where stderr is none.

    ``always``: of the first start, which takes long: lines from its beginning on. ``hidden``: silent, for one of several processes.
    What stands in brackets in a stage's name is shown beside its bar.
    """
    if hidden or not sys.stderr.isatty():
        yield _silent if hidden else Lines(at_once=always)
        return
    bars: dict[str, tqdm] = {}

    def report(stage: str, done: int, total: int) -> None:
        name, _, detail = stage.partition(" (")
        if name not in bars:
            size = {"unit": "B", "unit_scale": True} if name.startswith("fetching ") else {}
            bars[name] = tqdm(desc=name, total=total, mininterval=2 if always else 0.1, **size)
        bar = bars[name]
        bar.total = total
        if detail:
            bar.set_postfix_str(detail.rstrip(")"), refresh=False)
        bar.update(done - bar.n)

    try:
        yield report
    finally:
        for bar in bars.values():
            bar.close()


class Lines:
    """Writes a line of a stage every 15 seconds: how much is done, and the seconds left, as it went so far.

    ``at_once``: a stage's first line comes with its first report; otherwise a stage of under 15 seconds says nothing.
    ``clock``: seconds.
    """

    def __init__(self, *, at_once: bool = False, clock: Callable[[], float] = monotonic) -> None:
        self._at_once, self._clock = at_once, clock
        self._began: dict[str, tuple[float, int]] = {}
        self._said: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        name, _, detail = stage.partition(" (")
        now = self._clock()
        if name not in self._began:
            self._began[name] = (now, done)
            self._said[name] = now - EVERY if self._at_once else now
        if now - self._said[name] < EVERY:
            return
        self._said[name] = now
        began, before = self._began[name]
        share = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if name.startswith("fetching ") else f"{done} of {total}"
        more = f" ({detail}" if detail else ""
        left = f", {(now - began) / (done - before) * (total - done):.0f} s left" if done > before else ""
        typer.echo(f"wordsight: {name} {share}{more}{left}", err=True)


def _silent(stage: str, done: int, total: int) -> None:
    """Says nothing."""
