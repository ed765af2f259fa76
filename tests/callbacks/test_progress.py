"""What a person sees of training."""

import io
import re

import pytest
import torch
from rich.console import Console

import difflab.callbacks.throughput
import difflab.data.module
import difflab.runs.checkpoints
from difflab.callbacks import ProgressCallback, ThroughputCallback, TrackEvaluation
from difflab.data import ArrayImages, ImageData
from difflab.launch import Interruption
from difflab.runs import Checkpoints
from tiny import CLASSES, Rows, fit, tiny_module


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


class Clock:
    """Stands in for the module `time`, and goes on only when it is told to."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class SlowImages(ArrayImages):
    """Loads a batch in one second of a clock."""

    clock: Clock

    def images(self, indices):
        self.clock.seconds += 1
        return super().images(indices)


class SlowWork(TrackEvaluation):
    """A step computes for 2 seconds, an evaluation takes 100 and a checkpoint 1000."""

    clock: Clock

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.clock.seconds += 2

    def judge(self, trainer, pl_module, track):
        self.clock.seconds += 100
        return {}

    def check_model(self, pl_module):
        pass

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.clock.seconds += 1000


def test_the_speed_is_that_of_the_clock_between_steps_and_says_how_much_was_waiting(monkeypatch, tmp_path):
    clock = Clock()
    for module in (difflab.callbacks.throughput, difflab.data.module, difflab.runs.checkpoints):
        monkeypatch.setattr(module, "time", clock)
    pixels = torch.zeros(17, 1, 4, 4, dtype=torch.uint8)
    SlowImages.clock = SlowWork.clock = clock
    data = ImageData(SlowImages(pixels, torch.arange(17) % CLASSES), 12, 4, 1, CLASSES)
    checkpoints = Checkpoints(tmp_path, 3, 1, 0, "eval/none", 10, Interruption("", 0, 1))
    throughput = ThroughputCallback(12, 5, data.seconds_waited, lambda: checkpoints.seconds)
    rows = Rows()
    watchers = [SlowWork([]), throughput, checkpoints]
    fit(tiny_module(log_every=5), watchers, steps=20, evaluate_every=10, logger=rows, data=data)
    lines = [row for row in rows.rows.values() if "train/images_per_second" in row]
    assert [row["train/images_per_second"] for row in lines] == [pytest.approx(5 * 12 / (5 * (1 + 2)))] * 4
    assert [row["train/data_wait_share"] for row in lines] == [pytest.approx(1 / 3)] * 4


def _broken(batch, batch_idx):
    raise ZeroDivisionError


def test_images_speed_and_learning_rate_are_logged():
    rows = Rows()
    fit(tiny_module(log_every=3), [ThroughputCallback(batch_size=12, log_every=3)], steps=6, accumulate=2, logger=rows)
    assert list(rows.rows) == [3, 6]
    assert [row["train/images"] for row in rows.rows.values()] == [36.0, 72.0]
    assert all(row["train/learning_rate"] == 0.1 and row["train/images_per_second"] > 0 for row in rows.rows.values())
