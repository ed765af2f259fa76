"""What a person sees of work whose end is known, in a terminal and elsewhere."""

import io
import sys
import warnings

import pytest
from rich.console import Console

import difflab.runtime.progress
from difflab.formatting import aligned, clock, number
from difflab.runtime.console import quiet_lightning
from difflab.runtime.progress import Progress, reporting


class Clock:
    """Stands in for the module `time`, and goes on only when it is told to."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(difflab.runtime.progress, "time", clock)
    return clock


def drawn(time: Clock, total: int, seconds: float, done: int | None = 0) -> None:
    """Draws `total` images one after the other, each in so many seconds."""
    with Progress(shown=True).task("sampling", total, done=done) as task:
        for i in range(done or 0, total):
            time.seconds += seconds
            task.advance(i + 1)


def test_there_is_a_line_now_and_then_with_speed_and_time_left(time, capsys):
    drawn(time, 120, 1.0)
    assert capsys.readouterr().out.splitlines() == [
        "sampling: 30/120 images, 1 images/s, 0:01:30 left",
        "sampling: 60/120 images, 1 images/s, 0:01:00 left",
        "sampling: 90/120 images, 1 images/s, 0:00:30 left",
        "sampling: 120/120 images, 1 images/s, 0:00:00 left",
    ]


def test_there_are_about_twenty_lines_however_long_it_takes(time, capsys):
    drawn(time, 10_000, 36.0)
    lines = capsys.readouterr().out.splitlines()
    assert 18 <= len(lines) <= 21
    assert lines[0] == "sampling: 500/10,000 images, 0.0278 images/s, 3-23:00:00 left"


def test_what_is_short_says_nothing(time, capsys):
    drawn(time, 100, 0.1)
    assert capsys.readouterr().out == ""


def test_what_was_done_before_is_said_and_not_counted_as_speed(time, capsys):
    drawn(time, 100, 1.0, done=60)
    assert capsys.readouterr().out.splitlines() == [
        "sampling: 60/100 images are there already",
        "sampling: 90/100 images, 1 images/s, 0:00:10 left",
    ]


def test_another_process_says_nothing(time, capsys):
    with Progress(shown=False).task("sampling", 100) as task, reporting("inside", 10) as inside:
        time.seconds = 1000.0
        task.advance(50)
        inside.advance(5)
    assert capsys.readouterr().out == ""


def test_work_inside_is_shown_where_something_is_shown(time, capsys):
    with reporting("alone", 10) as task:
        time.seconds += 100
        task.advance(5)
    assert capsys.readouterr().out == ""
    with Progress(shown=True).task("training", 10), reporting("evaluation", 10) as task:
        time.seconds += 100
        task.advance(5)
    assert capsys.readouterr().out == "evaluation: 5/10 images, 0.05 images/s, 0:01:40 left\n"


@pytest.mark.parametrize("variables", [{"FORCE_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "60"}, {"NO_COLOR": "1"}])
def test_a_pipe_has_plain_lines_whatever_the_environment_says(time, capsys, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    drawn(time, 60, 1.0)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    assert len(out.splitlines()) == 2


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_dumb_terminal_has_plain_lines(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "dumb")
    with Progress(shown=True, console=Console(file=Screen(), force_terminal=True)).task("sampling", 2) as task:
        assert not task._display.is_live


def test_lines_of_others_stand_above_the_one_that_renews_itself(monkeypatch):
    screen = Screen()
    with Progress(True, Console(file=screen, force_terminal=True, width=60, color_system=None)).task("sampling", 2):
        print("a line")
        sys.stderr.write("of an error\n") if sys.stderr.isatty() else None
    assert "a line\n" in screen.getvalue()


def test_a_warning_is_said_once_and_in_a_line_though_filters_change(capsys):
    with warnings.catch_warnings():
        quiet_lightning()
        for _ in range(3):
            warnings.warn("too few images", stacklevel=1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
    assert capsys.readouterr().err == "warning: too few images\n"


def test_numbers_as_text():
    assert [clock(seconds) for seconds in (0.4, 59.6, 3723, 90_061)] == ["0:00:00", "0:01:00", "1:02:03", "1-01:01:01"]
    assert [number(value) for value in (12_345.6, 123.4, 12.34, 0.01234)] == ["12,346", "123", "12.3", "0.0123"]
    assert aligned([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
