"""Progress where there is no terminal: lines on stderr."""

from wordsight.commands.progress import Lines, progress


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_line_every_fifteen_seconds_with_the_time_left(capsys):
    clock = Clock()
    lines = Lines(clock=clock)
    for done in range(41):  # a second each
        clock.seconds = done
        lines("features", done, 60)
    assert capsys.readouterr().err == "wordsight: features 15 of 60, 45 s left\nwordsight: features 30 of 60, 30 s left\n"


def test_stages_count_for_themselves_and_go_on_from_what_was_stored(capsys):
    clock = Clock()
    lines = Lines(clock=clock)
    lines("features", 90, 100)
    clock.seconds = 10
    lines("sentences", 0, 4)
    clock.seconds = 20
    lines("features", 95, 100)  # 5 in 20 seconds
    lines("sentences", 1, 4)
    clock.seconds = 25
    lines("sentences (image.jpg)", 2, 4)
    said = "wordsight: features 95 of 100, 20 s left\nwordsight: sentences 2 of 4 (image.jpg), 15 s left\n"
    assert capsys.readouterr().err == said


def test_the_first_start_speaks_at_once(capsys):
    clock = Clock()
    lines = Lines(at_once=True, clock=clock)
    lines("fetching weights.whl", 0, 110_000_000)
    clock.seconds = 1
    lines("fetching weights.whl", 50_000_000, 110_000_000)
    assert capsys.readouterr().err == "wordsight: fetching weights.whl 0.0 of 110.0 MB\n"


def test_one_of_several_processes_is_silent(capsys):
    with progress(hidden=True) as on_progress:
        on_progress("features", 1, 2)
    assert capsys.readouterr().err == ""


def test_without_a_terminal_there_are_no_bars(capsys):
    with progress() as on_progress:
        on_progress("features", 0, 2)
        on_progress("features", 2, 2)
    with progress(always=True) as on_progress:
        on_progress("fetching it", 2_000_000, 2_000_000)
    assert capsys.readouterr().err == "wordsight: fetching it 2.0 of 2.0 MB\n"
