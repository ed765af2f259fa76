"""Sweeps and searches on this machine: where they leave things, and what they need."""

import json
import os
import subprocess
import sys

import pytest

from difflab.cli import extras
from running import SMALL

WITH_DEFAULT_LOGGER = [word for word in SMALL if word != "logger=none"]


def swept(folder, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "difflab", "train", "-m", *WITH_DEFAULT_LOGGER, "trainer.max_steps=2", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    swept(
        tmp_path,
        "optimizer.lr=choice(1e-5,1e-2)",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.n_jobs=1",
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


@pytest.mark.parametrize(("argument", "extra"), [("hydra/launcher=slurm", "slurm"), ("hydra/sweeper=optuna", "sweeps")])
def test_what_is_not_installed_is_named(argument, extra, monkeypatch):
    monkeypatch.setattr(extras, "EXTRAS", {argument: ("hydra_plugins.not_there", extra)})
    assert f"difflab[{extra}]" in extras.lacking(["-m", argument])
    assert extras.lacking(["-m", "seed=0,1"]) == ""
