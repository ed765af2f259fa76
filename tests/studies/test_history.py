"""What a run logged, against steps, images, computation and time."""

import json
import math
import time

import numpy as np
import pytest

from difflab.runs import RunDirectory, RunLock, read_metrics
from difflab.studies.history import Flops, Hours, Images, Steps, read_history
from difflab.studies.report.costs import read_cost
from fabricated import FACTS


def logged(root, rows, rest=""):
    root.mkdir(parents=True, exist_ok=True)
    (root / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + rest, encoding="utf-8")
    return root


ROWS = [
    {"step": 10, "train/loss": 3.0, "train/images": 100.0, "train/images_per_second": 50.0},
    {"step": 15, "eval/ema/fid@10k": 30.0},
    {"step": 20, "train/loss": 2.0, "train/images": 200.0, "train/images_per_second": 10.0},
    {"step": 30, "train/loss": 1.0, "train/images": 300.0, "train/images_per_second": 20.0, "eval/ema/fid@10k": 20.0},
]


def test_columns_have_values_where_they_were_logged(tmp_path):
    history = read_history(logged(tmp_path, ROWS))
    assert history.steps.tolist() == [10, 15, 20, 30]
    steps, values = history.curve("eval/ema/fid@10k")
    assert (steps.tolist(), values.tolist()) == ([15, 30], [30.0, 20.0])
    assert math.isnan(history.columns["train/loss"][1])
    assert history.last("train/loss") == 1.0
    assert history.last("no such") is None


def test_time_is_that_of_training_alone(tmp_path):
    """100 images at 50/s, 100 at 10/s, 100 at 20/s: 2, 12 and 17 seconds; step 15 lies halfway between the first two."""
    history = read_history(logged(tmp_path, ROWS))
    np.testing.assert_allclose(history.seconds, [2, 7, 12, 17])
    np.testing.assert_allclose(Hours().of(history, FACTS), np.array([2, 7, 12, 17]) / 3600)


def test_axes(tmp_path):
    history = read_history(logged(tmp_path, ROWS))
    assert Steps().of(history, FACTS).tolist() == [10, 15, 20, 30]
    assert Images().of(history, FACTS).tolist() == [100, 150, 200, 300]
    np.testing.assert_allclose(Flops().of(history, FACTS), history.steps * 128 * 2.4e9)


@pytest.mark.parametrize(
    "rest", ["", '{"step": 40, "train/lo', '{"step": 40, "train/loss": 0.5}', '{"step": 40}\n{"st\n']
)
def test_lines_are_those_that_read_metrics_finds(tmp_path, rest):
    rows = [*ROWS, {"step": 5, "train/loss": 9.0}, {"step": 20, "train/gradient_norm": 7.0}]
    run = logged(tmp_path, rows, rest)
    expected = read_metrics(RunDirectory(run).metrics)
    history = read_history(run)
    assert history.steps.tolist() == [row["step"] for row in expected]
    for name, column in history.columns.items():
        np.testing.assert_array_equal(column, [row.get(name, math.nan) for row in expected])
    assert set(history.columns) == {name for row in expected for name in row} - {"step"}


def test_a_run_that_has_not_logged_has_no_lines(tmp_path):
    history = read_history(tmp_path)
    assert len(history.steps) == len(history.seconds) == len(history.images) == 0


def test_what_was_never_logged_is_not_made_up(tmp_path):
    history = read_history(logged(tmp_path, [{"step": 10, "train/loss": 1.0}]))
    assert np.isnan(history.images).all()
    assert np.isnan(history.seconds).all()


def test_many_long_runs_are_read_in_seconds(tmp_path):
    losses = {f"train/loss_q{i}": 0.123456789 * i for i in range(20)}
    rows = [{"step": s, "train/images": 1.0 * s, "train/images_per_second": 3.0} | losses for s in range(300)]
    run = logged(tmp_path, rows)
    before = time.process_time()
    for _ in range(100):
        read_history(run)
    assert time.process_time() - before < 0.8


def test_cost_sums_starts_and_says_what_is_not_known(tmp_path):
    def start(**end):
        return {"host": "n1", "gpus": ["H200", "H200"], "git": {"commit": "abc"}, **end}

    starts = [
        start(outcome="interrupted", seconds=100.0),
        start(),
        start(outcome="failed", seconds=20.0) | {"host": "n2", "git": {"commit": "def"}},
        start(outcome="complete", seconds=50.0, host="n1"),
    ]
    (tmp_path / "provenance.json").write_text(json.dumps(starts), encoding="utf-8")
    cost = read_cost(tmp_path)
    assert cost.outcomes == ("interrupted", "killed", "failed", "complete")
    assert (cost.starts, cost.preemptions, cost.seconds, cost.untimed) == (4, 2, 170.0, 1)
    assert cost.hosts == ("n1", "n2")
    assert cost.gpus == {"H200": 2}
    assert cost.commits == ("abc", "def")


def test_a_start_without_an_end_may_be_at_work_and_is_no_preemption(tmp_path):
    (tmp_path / "provenance.json").write_text(json.dumps([{"host": "n1", "gpus": []}]), encoding="utf-8")
    cost = read_cost(tmp_path)
    assert (cost.preemptions, cost.untimed, cost.gpus, cost.commits) == (0, 1, {}, ())
    assert read_cost(tmp_path / "nowhere").starts == 0


def test_a_start_at_work_is_not_called_killed(tmp_path):
    (tmp_path / "provenance.json").write_text(json.dumps([{"host": "here"}]), encoding="utf-8")
    assert read_cost(tmp_path).outcomes == ("killed",)
    lock = RunLock(tmp_path)
    lock.acquire()
    try:
        assert read_cost(tmp_path).outcomes == ("running",)
    finally:
        lock.release()
