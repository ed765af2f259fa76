"""What a person sees of training."""

import io
import re

import pytest
from rich.console import Console

from difflab.callbacks import ProgressCallback, ThroughputCallback
from tiny import Rows, fit, tiny_module


def test_without_a_terminal_there_is_a_line_per_interval(capsys):
    fit(tiny_module(), [ProgressCallback(batch_size=12, log_every=2)], steps=5)
    lines = capsys.readouterr().out.splitlines()
    numbers = [re.fullmatch(r"step (\d)/5\b.*?(\d+\.\d+)  (\d+) images/s", line) for line in lines]
    assert [match and match[1] for match in numbers] == ["2", "4"]
    assert all(match and float(match[2]) > 0 and float(match[3]) > 0 for match in numbers)


def test_the_loss_is_that_of_the_log(capsys):
    rows = Rows()
    fit(tiny_module(log_every=2), [ProgressCallback(batch_size=12, log_every=2)], steps=4, logger=rows)
    shown = [float(line.split("loss ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert shown == pytest.approx([row["train/loss"] for row in rows.rows.values()], abs=5e-5)


def test_an_interval_is_one_line_however_many_micro_batches(capsys):
    fit(tiny_module(), [ProgressCallback(batch_size=12, log_every=2)], steps=4, accumulate=3)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["2/4", "4/4"]


def test_in_a_terminal_there_is_a_bar_with_loss_speed_and_time_left(monkeypatch):
    screen = io.StringIO()
    bar = ProgressCallback(batch_size=12, log_every=2)
    bar._console = Console(file=screen, force_terminal=True, width=140, color_system=None)
    fit(tiny_module(), [bar], steps=6)
    last = [
        line
        for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
        if "6/6" in line
    ]
    assert last
    assert re.search(r"loss \d+\.\d+  \d+ images/s", last[-1])
    assert re.search(r"0:00:0\d left 0:00:00", last[-1])


def test_the_bar_ends_with_an_exception():
    """Otherwise the terminal is left without a cursor."""
    screen = io.StringIO()
    bar = ProgressCallback(batch_size=12, log_every=2)
    bar._console = Console(file=screen, force_terminal=True, width=140)
    module = tiny_module()
    module.training_step = _broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        fit(module, [bar])
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l") >= 0


def _broken(batch, batch_idx):
    raise ZeroDivisionError


def test_images_speed_and_learning_rate_are_logged():
    rows = Rows()
    fit(tiny_module(log_every=3), [ThroughputCallback(batch_size=12, log_every=3)], steps=6, accumulate=2, logger=rows)
    assert list(rows.rows) == [3, 6]
    assert [row["train/images"] for row in rows.rows.values()] == [36.0, 72.0]
    assert all(row["train/learning_rate"] == 0.1 and row["train/images_per_second"] > 0 for row in rows.rows.values())
