"""Rows of a sweep: what becomes of one is no matter of the others, and the end says it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from difflab.cli.train import check_training
from difflab.config import derived as resolvers
from difflab.config.keys import ConfigError
from difflab.config.multirun import _checked, _summary, sweep_status
from difflab.config.sweep_rows import Ended, Row, RowEnd, RowFailedError, is_stopped, read_rows, works_on

resolvers.add_resolvers()

DONE = RowEnd(0, ("seed=0", "x=1"), status=0)
DIVERGED = RowEnd(1, ("seed=1", "x=1"), 3, "step 8 is not finite", "runs/a/b")


@pytest.mark.parametrize(
    ("statuses", "stopped", "status"),
    [
        ([0, 0], False, 0),
        ([0, 3], False, 3),
        ([2, 3, 0], False, 3),
        ([2, 75], False, 2),
        ([4, 3, 1], False, 1),
        ([0, 75], False, 75),
        ([0, None], False, 75),
        ([0, 3, 75, None], True, 75),
        ([0, 134], False, 134),
    ],
)
def test_the_status_of_a_sweep(statuses, stopped, status):
    assert sweep_status([replace(DONE, status=one) for one in statuses], stopped) == status


def test_the_end_names_the_rows_that_failed_by_what_is_their_own():
    lines = list(_summary([DONE, DIVERGED], ""))
    assert lines[0] == "sweep of 2 rows: 1 complete, 1 failed"
    assert lines[1].strip() == "row 1  seed=1  failed (status 3): step 8 is not finite; runs/a/b"
    assert list(_summary([DONE], "")) == ["sweep of 1 rows: 1 complete"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=0,abc"], "row 1 (seed=abc): seed=abc must be a whole number"),
        (["optimizer.lrr=1e-3,1e-4", "seed=0"], "row 0 (optimizer.lrr=0.001): unknown key 'optimizer.lrr'"),
        (["seed=0,1", "data.batch_size=16,0"], "row 1 (seed=0 data.batch_size=0): data.batch_size=0 must be"),
        (["schedule=cosine,linea"], "did you mean 'linear'?"),
        (["hydra/sweeper=optuna", "optimizer.lrr=interval(1e-4,1e-3)"], "unknown key 'optimizer.lrr'"),
    ],
)
def test_a_row_that_cannot_be_run_is_named_before_any_is_begun(words, message):
    with pytest.raises(ConfigError) as error:
        _checked("train", ["+experiment=cosine_adagn", *words], check_training)
    assert message in str(error.value)


def test_the_rows_are_all_combinations():
    rows = _checked("train", ["+experiment=cosine_adagn,linear_adagn", "seed=range(0,2)"], check_training)
    experiments = ("cosine_adagn", "linear_adagn")
    assert rows == [[f"+experiment={name}", f"seed={seed}"] for name in experiments for seed in (0, 1)]


@pytest.fixture
def as_row(tmp_path, monkeypatch):
    """Runs a function as a row of a sweep, with the note that it leaves."""

    def run(function, number: int = 0, **sweeper):
        job = {"num": number}
        config = {"hydra": {"job": job, "overrides": {"task": [f"seed={number}"]}, "sweeper": sweeper}}
        monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.create(config))
        row = Row(function)
        row.folder = tmp_path / "rows"
        returned = row(OmegaConf.create())
        return returned, read_rows(row.folder).get(number)

    return run


def test_what_ends_a_row_ends_no_other(as_row, tmp_path, capsys):
    def diverges(config):
        works_on(tmp_path)
        raise Ended(3, "not finite")

    def breaks(config):
        raise ZeroDivisionError("of\nmine")

    returned, note = as_row(diverges)
    assert (returned, note.status, note.reason, note.run) == (float("inf"), 3, "not finite", str(tmp_path))
    returned, note = as_row(breaks)
    assert (returned, note.status, note.reason, note.run) == (None, 1, "ZeroDivisionError: of mine", "")
    assert "Traceback" in capsys.readouterr().err
    returned, note = as_row(lambda config: 2.5)
    assert (returned, note.status) == (2.5, 0)
    with pytest.raises(RowFailedError, match="ZeroDivisionError"):  # to a search a fault is no bad value
        as_row(breaks, max_failure_rate=1)


def test_a_signal_ends_the_sweep_and_a_time_limit_only_its_row(as_row, tmp_path):
    def out_of_time(config):
        raise Ended(75, "the time limit")

    def told(config):
        raise Ended(75, "SIGTERM", others_too=True)

    as_row(out_of_time)
    assert not is_stopped(tmp_path / "rows")
    as_row(told)
    _, note = as_row(lambda config: 2.5, number=1)
    assert not note.begun
    assert note.status is None


def test_in_a_job_of_its_own_a_row_tells_slurm_that_it_is_to_start_again(as_row, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFLAB_JOB", str(tmp_path / "job"))

    def ended(status):
        def function(config):
            raise Ended(status, "SIGTERM", others_too=status == 75)

        return function

    with pytest.raises(SystemExit) as end:
        as_row(ended(75))
    assert end.value.code == 75
    assert not is_stopped(tmp_path / "rows")
    assert as_row(ended(3))[0] == float("inf")  # that would not help


def test_a_note_that_is_no_note_is_left_alone(tmp_path):
    (tmp_path / "0.json").write_text('{"number": 0, "overrides"', encoding="utf-8")
    (tmp_path / "1.json").write_text(json.dumps({"what": 1}), encoding="utf-8")
    assert read_rows(Path(tmp_path)) == {}
