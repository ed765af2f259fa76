"""What needs no extra runs without it, and what needs one says so in a line, in an environment that has the lock for use and no more."""

import subprocess
from pathlib import Path

import pytest

from lean import ROOT, lean

TRAIN = (
    *(
        "+experiment=cosine_adagn",
        "network.width=32",
        "data.batch_size=16",
        "data.num_workers=1",
        "trainer.max_steps=2",
    ),
    *("eval.every=2", "eval.num_samples=16", "sampler.grid.steps=2", "checkpoint.every=2"),
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """The python of an environment without W&B and without what reports are written with, which torch's own compiler needs, too."""
    return lean(tmp_path_factory.mktemp("bare") / "my env", without=["wandb", "jinja2"])


def ran(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-W", "ignore", *words], cwd=ROOT, capture_output=True, encoding="utf-8")


def refused(python: Path, *words: str) -> str:
    """The one line of a command that ends with status 2."""
    done = ran(python, *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_run_is_trained_and_evaluated_without_any_extra_and_without_wandb(bare, tmp_path):
    done = ran(bare, "train.py", *TRAIN, "logger=none", f"run.root={tmp_path}")
    assert done.returncode == 0, done.stderr
    (run,) = tmp_path.glob("cosine_adagn/*")
    assert (run / "complete.json").exists()
    said = refused(bare, "evaluate.py", f"checkpoint={run}", "num_samples=16", "sweep.steps=[1,2]")
    assert "matplotlib" in said
    assert "[report]'" in said
    done = ran(bare, "evaluate.py", f"checkpoint={run}", "num_samples=16", "metric=[frechet]", "bits_per_dim=4")
    assert done.returncode == 0, done.stderr
    assert "its terms are not drawn: bits.png needs matplotlib" in done.stdout
    assert "bits_per_dim@4" in done.stdout


def test_points_are_learnt_and_drawn_without_any_extra(bare, tmp_path):
    short = ("trainer.max_steps=2", "eval.every=2", "eval.num_samples=50", "eval.grid=50", "logger=none")
    done = ran(bare, "train.py", "+experiment=swiss_roll", *short, f"run.root={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("swiss_roll/*/samples/*.png"))) == 3


def test_wandb_that_is_missing_is_named_with_what_installs_it(bare, tmp_path):
    said = refused(bare, "train.py", *TRAIN, f"run.root={tmp_path}")
    assert "needs the package wandb: pip install" in said
    assert not list(tmp_path.iterdir())


def test_a_launcher_that_is_missing_is_named_with_its_extra(bare):
    assert "[slurm]'" in refused(bare, "train.py", "-m", *TRAIN, "hydra/launcher=slurm")


def test_a_report_that_cannot_be_written_is_refused_with_the_extra(bare, tmp_path):
    said = refused(bare, "study.py", "digits_like", "report", f"out={tmp_path / 'page.html'}")
    assert "jinja2" in said
    assert "[report]'" in said


@pytest.mark.slow
def test_the_lock_for_use_is_enough_for_the_headline_run_with_its_mirror(tmp_path):
    python = lean(tmp_path / "env")
    done = ran(python, "train.py", *TRAIN, f"run.root={tmp_path / 'runs'}")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/cosine_adagn/*/wandb/offline-run-*"))
