"""What a person sees of training."""

import io
import re

import pytest
import torch
from rich.console import Console

import difflab.data.module
import difflab.runs.checkpoints
import difflab.training.callbacks.progress
from difflab.data import ArrayImages, ImageData
from difflab.ema import Constant
from difflab.evaluation import EvaluationCallback, ScoresCallback, TrackEvaluation
from difflab.metrics import MetricInfo
from difflab.runs import Checkpoints
from difflab.runtime import Interruption
from difflab.sampling import Drawing, InTurn
from difflab.training.callbacks import EMACallback, ProgressCallback, ThroughputCallback
from tiny import CLASSES, Rows, fit, tiny_module


def step_lines(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("step ") and "loss" in line]


def test_without_a_terminal_there_is_a_line_from_the_first_step_on_and_then_per_interval(capsys):
    fit(tiny_module(), [ProgressCallback(batch_size=12, log_every=2)], steps=5)
    lines = step_lines(capsys.readouterr().out)
    pattern = r"step (\d)/5: loss (\d+\.\d+), ([\d.,]+) ms/step, ([\d.,]+) images/s, 0:00:0\d left"
    numbers = [re.fullmatch(pattern, line) for line in lines]
    assert [match and match[1] for match in numbers] == ["1", "2", "4"]
    assert all(match and float(match[2]) > 0 for match in numbers)


def test_the_loss_is_that_of_the_log_and_of_the_first_step(capsys):
    rows, first = Rows(), Rows()
    fit(tiny_module(log_every=2), [ProgressCallback(batch_size=12, log_every=2)], steps=4, logger=rows)
    shown = [float(line.split("loss ")[1].split(",")[0]) for line in step_lines(capsys.readouterr().out)]
    fit(tiny_module(log_every=1), steps=1, logger=first)
    expected = [row["train/loss"] for row in (*first.rows.values(), *rows.rows.values())]
    assert shown == pytest.approx(expected, abs=5e-5)


def test_an_interval_is_one_line_however_many_micro_batches(capsys):
    fit(tiny_module(), [ProgressCallback(batch_size=12, log_every=2)], steps=4, accumulate=3)
    assert [line.split()[1] for line in step_lines(capsys.readouterr().out)] == ["1/4:", "2/4:", "4/4:"]


def test_a_log_has_about_a_hundred_lines_however_long_training_is(capsys):
    fit(tiny_module(log_every=1), [ProgressCallback(batch_size=12, log_every=1)], steps=350)
    assert 80 <= len(step_lines(capsys.readouterr().out)) <= 102


def test_evaluations_still_to_come_are_in_the_time_that_is_left(capsys, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(difflab.training.callbacks.progress, "time", clock)
    SlowWork.clock = clock
    watchers = [ProgressCallback(batch_size=12, log_every=1), SlowWork([])]
    fit(tiny_module(log_every=1), watchers, steps=6, evaluate_every=2)
    lines = step_lines(capsys.readouterr().out)
    # a step takes 2 s and an evaluation 100 s, of which nothing is known before the first one
    assert [line.rpartition(", ")[2] for line in lines] == [
        "0:00:10 left + 3 evaluations",
        "0:00:08 left + 2 evaluations",
        "0:03:26 left",
        "0:01:44 left",
        "0:01:42 left",
        "0:00:00 left",
    ]
    assert all("2,000 ms/step, 6 images/s" in line for line in lines)


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Without control characters; a line that renews itself is there several times."""
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue()).replace("\r", "\n")
        return [line.rstrip() for line in text.splitlines() if line.strip()]


def watched(screen: Screen, width: int = 140) -> ProgressCallback:
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    return ProgressCallback(batch_size=12, log_every=2, console=console)


def test_in_a_terminal_there_is_a_bar_with_loss_speed_and_time_left():
    screen = Screen()
    fit(tiny_module(), [watched(screen)], steps=6)
    last = screen.lines()[-1]
    assert re.fullmatch(r"training  \S+  6/6 steps  loss \d+\.\d+  \S+ ms/step  \S+ images/s  0:00:00 left", last)


@pytest.mark.parametrize("width", [40, 60])
def test_in_a_narrow_terminal_the_line_is_shorter_and_not_broken(width):
    screen = Screen()
    fit(tiny_module(), [watched(screen, width)], steps=6)
    assert all(line.startswith("training  ") and len(line) <= width for line in screen.lines())
    assert screen.lines()[-1].startswith("training  6/6 steps")
    assert screen.lines()[-1].endswith("left")


def test_an_evaluation_takes_the_line_of_training_while_it_lasts(tmp_path):
    screen = Screen()
    watch = EvaluationCallback(Counted(), ["fast"], 8, 4, tmp_path, InTurn().prepare(Drawing((1, 4, 4), CLASSES)))  # type: ignore[arg-type]
    fit(tiny_module(), [watch, watched(screen)], steps=4, evaluate_every=2)
    seen = [line for line in screen.lines() if line.startswith("evaluation of fast")]
    assert seen[-1].endswith("left")
    assert "/20 images" in seen[-1]
    assert screen.lines()[-1].startswith("training ")


class Counted:
    """Stands in for an Evaluator: measures nothing of 20 images."""

    num_images = 20

    def to(self, device):
        pass

    def reset(self):
        pass

    def update(self, images, index):
        pass

    def compute(self):
        return {"nothing": 0.0}


def test_the_bar_ends_with_an_exception():
    """Otherwise the terminal is left without a cursor."""
    screen = Screen()
    module = tiny_module()
    module.training_step = _broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        fit(module, [watched(screen)])
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l") >= 0


def test_scores_are_a_table_and_what_is_to_know_of_a_young_average_is_said_once(capsys):
    infos = {"fd@20": MetricInfo(higher_is_better=False)}
    module = tiny_module(ema=EMACallback({"slow": Constant(0.9999)}))
    fit(module, [Scored(["slow", "online"]), ScoresCallback(infos, "20 images against all")], evaluate_every=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 3: evaluation, 20 images against all"
    assert lines[1].startswith("step 3: scores, after 0:00:0")
    assert [line.split() for line in lines[2:5]] == [
        ["metric", "slow", "online", "better"],
        ["fd@20", "12.35", "12.35", "lower"],
        ["other", "1", "1"],
    ]
    assert len([line for line in lines if line.startswith("note: ")]) == 1


class Scored(TrackEvaluation):
    """Two numbers."""

    def scores(self, trainer, pl_module, track):
        return {"fd@20": 12.3456, "other": 1.0}

    def check_model(self, pl_module):
        pass


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

    def scores(self, trainer, pl_module, track):
        self.clock.seconds += 100
        return {}

    def check_model(self, pl_module):
        pass

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.clock.seconds += 1000


def test_the_speed_is_that_of_the_clock_between_steps_and_says_how_much_was_waiting(monkeypatch, tmp_path):
    clock = Clock()
    for module in (difflab.training.callbacks.progress, difflab.data.module, difflab.runs.checkpoints):
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
