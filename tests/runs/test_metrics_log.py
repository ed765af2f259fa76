"""metrics.jsonl: a line per step, whatever happens to the process."""

import json
import math

from difflab.runs import MetricsLog, read_metrics


def test_what_several_watchers_log_at_a_step_is_one_line(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.log_metrics({"train/loss": 0.5, "epoch": 0}, step=5)
    log.log_metrics({"eval/fd": 3}, step=5)
    log.log_metrics({"train/loss": 0.25}, step=10)
    log.finalize("success")
    lines = [json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines()]
    assert lines == [{"step": 5, "train/loss": 0.5, "eval/fd": 3.0}, {"step": 10, "train/loss": 0.25}]
    assert read_metrics(log.path) == lines


def test_saving_in_the_middle_of_a_step_loses_nothing(tmp_path):
    """As a checkpoint does between the losses and the scores of a step."""
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.log_metrics({"train/loss": 0.5}, step=5)
    log.save()
    assert read_metrics(log.path) == [{"step": 5, "train/loss": 0.5}]
    log.log_metrics({"eval/fd": 3.0}, step=5)
    log.save()
    log.save()
    assert read_metrics(log.path) == [{"step": 5, "train/loss": 0.5, "eval/fd": 3.0}]


def test_the_numbers_come_back_to_the_last_bit(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    values = {"a": 0.1 + 0.2, "b": 1e-300, "d": 2 / 3}
    log.log_metrics(values, step=0)
    log.save()
    assert read_metrics(log.path) == [{"step": 0, **values}]


def test_a_number_that_is_none_is_null_in_the_file_and_nan_to_readers(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.log_metrics({"a": math.inf, "b": math.nan}, step=0)
    log.save()
    assert json.loads(log.path.read_text(encoding="utf-8")) == {"step": 0, "a": None, "b": None}
    (row,) = read_metrics(log.path)
    assert math.isnan(row["a"])
    assert math.isnan(row["b"])


def test_a_torn_last_line_is_left_out_and_written_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 5, "train/loss": 0.5}\n{"step": 10, "train/lo', encoding="utf-8")
    assert read_metrics(path) == [{"step": 5, "train/loss": 0.5}]
    log = MetricsLog(path)
    log.rewind(5)
    log.log_metrics({"train/loss": 0.25}, step=10)
    log.save()
    assert read_metrics(path) == [{"step": 5, "train/loss": 0.5}, {"step": 10, "train/loss": 0.25}]


def test_rewinding_drops_what_came_later(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in (5, 10, 15):
        log.log_metrics({"train/loss": 1 / step}, step=step)
    log.save()
    log.rewind(10)
    assert [row["step"] for row in read_metrics(log.path)] == [5, 10]
    log.log_metrics({"train/loss": 7.0}, step=15)
    log.save()
    assert read_metrics(log.path)[-1] == {"step": 15, "train/loss": 7.0}


def test_rewinding_before_anything_was_logged_is_no_error(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.rewind(10)
    assert not log.path.exists()


def test_what_counts_the_steps_before_this_one_is_in_its_line_and_an_older_step_splits_none(tmp_path):
    """Lightning's monitors, and a watcher that is late."""
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for metrics, step in (({"lr": 1}, 4), ({"speed": 2}, 5), ({"lr": 3}, 4), ({"old": 4}, 2), ({"train/loss": 0.5}, 5)):
        log.log_metrics(metrics, step=step)
    log.finalize("success")
    lines = [json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines()]
    assert lines == [{"step": 4, "lr": 1}, {"step": 2, "old": 4}, {"step": 5, "speed": 2, "lr": 3, "train/loss": 0.5}]
