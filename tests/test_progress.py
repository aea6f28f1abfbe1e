import sys

import pytest

from wordsight.commands import progress as shown
from wordsight.commands.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless the test moves it."""
    now = [100.0]
    monkeypatch.setattr(shown.time, "monotonic", lambda: now[0])
    return now


def report(clock, seconds: float, **options) -> None:
    """Features of 100 images: one every so many seconds."""
    with progress(**options) as on_progress:
        for done in range(101):
            on_progress("features", done, 100)
            clock[0] += seconds


def test_a_line_every_15_seconds_says_how_much_time_is_left(clock, capsys):
    report(clock, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "wordsight: features: 15 of 100, 01:25 left"
    assert [line.split()[2] for line in lines] == ["15", "30", "45", "60", "75", "90"]


def test_what_is_done_in_15_seconds_says_nothing(clock, capsys):
    report(clock, 0.1)
    assert capsys.readouterr() == ("", "")


def test_what_was_done_before_does_not_count_as_fast(clock, capsys):
    with progress() as on_progress:
        on_progress("training", 900, 1000)
        clock[0] += 20
        on_progress("training", 910, 1000)
    assert capsys.readouterr().err == "wordsight: training: 910 of 1000, 03:00 left\n"


def test_bytes_have_their_unit_and_an_unknown_total_no_time_left(clock, capsys):
    with progress() as on_progress:
        on_progress("fetching a.whl", 0, 2_000_000)
        clock[0] += 16
        on_progress("fetching a.whl", 1_000_000, 2_000_000)
        on_progress("fetching b.whl", 0, 0)
        clock[0] += 16
        on_progress("fetching b.whl", 1_000_000, 0)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "wordsight: fetching a.whl: 1.00M of 2.00M, 00:16 left"
    assert second.startswith("wordsight: fetching b.whl: 1.00M")
    assert "?" in second


def test_one_of_several_processes_is_silent(clock, capsys):
    report(clock, 1, hidden=True)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar_with_the_time_left_and_the_detail(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress() as on_progress:
        on_progress("sentences (cat, dog)", 0, 100)
        first = capsys.readouterr().err
        on_progress("sentences (cat, dog)", 100, 100)
    assert "cat, dog" in first  # before any sentence is there
    assert "?" in first
    assert "100/100" in capsys.readouterr().err
