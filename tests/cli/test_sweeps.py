"""Sweeps and searches on this machine: where they leave things, and what they need."""

import json
import os
import subprocess
import sys
import time

import pytest

from difflab.runtime import invocation as extras
from running import SMALL

pytestmark = pytest.mark.long

WITH_DEFAULT_LOGGER = [word for word in SMALL if word != "logger=none"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "difflab", "train", *WITH_DEFAULT_LOGGER, "-m", "trainer.max_steps=2", *arguments]


def swept(folder, *arguments: str, status: int = 0, **variables: str) -> str:
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_sweep_leaves_runs_and_nothing_beside_them(tmp_path):
    """No folders 0, 1 ..., no multirun.yaml where one stands. The second run in a process has the W&B of the first behind it."""
    swept(tmp_path, "seed=0,1")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["cosine_adagn", "sweeps"]
    seeds = {
        json.loads(path.read_text(encoding="utf-8"))["step"]
        for path in tmp_path.glob("runs/cosine_adagn/*/complete.json")
    }
    assert seeds == {2}
    assert len(list(tmp_path.glob("runs/cosine_adagn/*"))) == 2
    for path in tmp_path.glob("runs/cosine_adagn/*/provenance.json"):  # the command as it was typed
        assert '-m trainer.max_steps=2 seed=0,1"' in path.read_text(encoding="utf-8")
    again = swept(tmp_path, "seed=0,1")
    assert again.count("already complete") == 2
    assert "sweep of 2 rows: 2 complete" in again


DIVERGES = ("optimizer.lr=1e30,1e-4", "data.num_workers=1", "eval.every=2")


def assert_one_diverged(said: str) -> None:
    assert "sweep of 2 rows: 1 complete, 1 failed" in said
    assert "row 0  optimizer.lr=1e+30  failed (status 3): loss or gradient of step 2 is not finite" in said
    assert "Traceback" not in said


def test_a_row_that_diverges_ends_no_other(tmp_path):
    """With W&B and data workers, in a folder with a space in its name."""
    (tmp_path / "of mine").mkdir()
    assert_one_diverged(swept(tmp_path / "of mine", *DIVERGES, status=3))
    (complete,) = tmp_path.glob("of mine/runs/cosine_adagn/*/complete.json")
    assert json.loads(complete.read_text(encoding="utf-8"))["step"] == 2
    assert not list(tmp_path.glob("of mine/runs/sweeps/*/rows-*"))


@pytest.mark.slow
def test_a_row_that_diverges_ends_no_other_beside_it(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    assert_one_diverged(swept(tmp_path, *DIVERGES, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", status=3))
    assert len(list(tmp_path.glob("runs/cosine_adagn/*/complete.json"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]])
def test_a_signal_has_the_row_saved_and_begins_no_other(tmp_path, launcher):
    words = ["seed=0,1", "trainer.max_steps=100000", "checkpoint.every=50000", "eval.every=50000", *launcher]
    sweep = subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    deadline = time.monotonic() + 200
    while not any(path.stat().st_size for path in tmp_path.glob("runs/*/*/metrics.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    sweep.terminate()
    said = sweep.communicate(timeout=200)[0]
    assert sweep.returncode == 75, said
    assert "sweep of 2 rows: 1 stopped and saved, 1 not begun" in said
    assert len(list(tmp_path.glob("runs/cosine_adagn/*/checkpoints/step-*.ckpt"))) == 1


@pytest.mark.slow
def test_several_runs_at_a_time_are_the_same_runs(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    for name, arguments in {"one": [], "two": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]}.items():
        (tmp_path / name).mkdir()
        swept(tmp_path / name, "seed=0,1", *arguments)
    ends = [
        {
            path.parent.name: json.loads(path.read_text(encoding="utf-8"))
            for path in (tmp_path / name).glob("runs/*/*/complete.json")
        }
        for name in ("one", "two")
    ]
    assert len(ends[0]) == 2
    assert ends[0] == ends[1]


@pytest.mark.slow
def test_a_search_finds_the_run_with_the_lowest_distance(tmp_path):
    """One of its trials diverges."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    swept(
        tmp_path,
        "optimizer.lr=choice(1e-5,1e-2,1e30)",
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=grid",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.n_jobs=1",
        "eval.every=2",
        status=3,
    )
    (results,) = tmp_path.glob("runs/sweeps/*/optimization_results.yaml")
    best = float(
        next(
            line for line in results.read_text(encoding="utf-8").splitlines() if line.startswith("best_value")
        ).split()[1]
    )
    ends = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("runs/cosine_adagn/*/complete.json")]
    distances = [value for end in ends for name, value in end.items() if "fd_digits" in name]
    assert best == pytest.approx(min(distances))


def test_what_sbatch_refuses_is_told_in_its_words(tmp_path):
    pytest.importorskip("submitit")
    (fakes := tmp_path / "bin").mkdir()
    for name, body in {"sbatch": "echo 'sbatch: error: invalid partition: gqu' >&2; exit 1", "srun": "exit 1"}.items():
        (fakes / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (fakes / name).chmod(0o755)
    path = os.pathsep.join([str(fakes), os.environ["PATH"]])
    said = swept(tmp_path, "seed=0,1", "hydra/launcher=slurm", status=2, PATH=path)
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "sbatch refuses the job array: sbatch: error: invalid partition: gqu" in line
    assert "hydra.launcher.partition=..." in line
    assert line.endswith("No row was begun")
    assert "Traceback" not in said


@pytest.mark.parametrize(("argument", "extra"), [("hydra/launcher=slurm", "slurm"), ("hydra/sweeper=optuna", "sweeps")])
def test_what_is_not_installed_is_named(argument, extra, monkeypatch):
    monkeypatch.setattr(extras, "EXTRAS", {argument: ("hydra_plugins.not_there", extra)})
    assert f"[{extra}]'" in extras.lacking(["-m", argument])
    assert extras.lacking(["-m", "seed=0,1"]) == ""
