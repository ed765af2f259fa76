"""A run that is asked for more steps, or is to be judged otherwise, goes on where another one has arrived, and is as if it had not."""

import hashlib
from pathlib import Path

import pytest

from difflab.runs import RunDirectory, info, newest, read_metrics
from difflab.runs.info import as_text
from running import Outcome, differences, saved_state, train_small, train_until

HARD = (
    "network.dropout=0.1",
    "objective/time_sampler=loss_second_moment",
    "objective.time_sampler.history=2",
    "ema=[warm_up,power_function]",
    "ema_snapshots.every=4",
    "lr_schedule=warm_up",
    "trainer.max_steps=8",
    "eval.every=4",
    "eval.num_samples=16",
    "eval.grid=10",
    "checkpoint.every=2",
    "data.batch_size=16",
)
"""What has a state or draws random numbers; eight steps, evaluated twice."""

SPEED = ("train/images_per_second", "train/data_wait_share")


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Outcome:
    """Eight steps from the start."""
    return train_small(tmp_path_factory.mktemp("long"), *HARD)


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Outcome:
    """The first four."""
    return train_small(tmp_path_factory.mktemp("short") / "with space", *HARD, "trainer.max_steps=4")


def train_until_elsewhere(step: int, monkeypatch, root: Path, *overrides: str) -> RunDirectory:
    """As `train_until`, where there are other runs."""
    before = set(root.glob("*/*/config.yaml"))
    with monkeypatch.context() as patch:
        patch.setattr(
            Path, "glob", lambda self, pattern, glob=Path.glob: [p for p in glob(self, pattern) if p not in before]
        )
        return train_until(step, monkeypatch, root, *overrides)


def root_of(outcome: Outcome) -> Path:
    return outcome.run.path.parents[1]


def rows_of(run: RunDirectory) -> list[dict[str, float]]:
    """What was logged, but for the speed."""
    return [{name: value for name, value in row.items() if name not in SPEED} for row in read_metrics(run.metrics)]


def content(folder: Path) -> dict[str, str]:
    """File -> hash of what is in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_equal_runs(a: RunDirectory, b: RunDirectory) -> None:
    """Bit for bit: checkpoints with everything in them, metrics, pictures, weights and snapshots."""
    assert a.path.name == b.path.name
    assert differences(saved_state(a), saved_state(b)) == []
    assert rows_of(a) == rows_of(b)
    for pictures in ("samples", "weights", "snapshots"):
        names = sorted(path.name for path in (a.path / pictures).iterdir())
        assert names == sorted(path.name for path in (b.path / pictures).iterdir())
    assert content(a.samples) == content(b.samples)
    assert info(a.path)["weights_sha256"] == info(b.path)["weights_sha256"]
    assert (a.checkpoints / "best.ckpt").exists()
    assert (b.checkpoints / "best.ckpt").exists()


def test_an_extended_run_is_the_longer_run_and_leaves_the_shorter_one_as_it_is(long, short):
    before = content(short.run.path)
    extended = train_small(root_of(short), *HARD)
    assert (
        f"extended from 4 to 8 steps: {short.run.path} (complete) has trained the first 4, and stays as it is"
        in extended.printed
    )
    assert any(line.startswith("resuming from step 4 ") for line in extended.printed)
    assert_equal_runs(long.run, extended.run)
    assert content(short.run.path) == before
    told = as_text(info(extended.run.path))
    assert f"extends   {short.run.path} from step 4" in told
    again = train_small(root_of(short), *HARD, "trainer.max_steps=4")
    assert again.run.path == short.run.path
    assert "already complete" in again.printed[0]


@pytest.mark.slow
def test_a_run_that_was_cut_is_extended_and_cut_in_the_middle_of_it(long, monkeypatch, tmp_path):
    train_until(2, monkeypatch, tmp_path, *HARD, "trainer.max_steps=4")
    cut = train_until_elsewhere(6, monkeypatch, tmp_path, *HARD)
    assert not cut.complete.exists()
    assert newest(cut.checkpoints) == cut.checkpoints / "step-00000006.ckpt"
    extended = train_small(tmp_path, *HARD)
    assert any(line.startswith("resuming from step 6 ") for line in extended.printed)
    assert_equal_runs(long.run, extended.run)
    assert [one["step"] for one in info(extended.run.path)["extends"]] == [2]


def test_what_was_judged_otherwise_is_judged_again_and_not_trained(short, tmp_path):
    """Scores and pictures are those of a run that was judged so from the start, and never stand in one file with others."""
    before = content(short.run.path)
    asked = (*HARD, "trainer.max_steps=4", "eval.num_samples=20", "sampler.grid.steps=3")
    other, from_start = train_small(root_of(short), *asked), train_small(tmp_path, *asked)
    said = f"{short.run.path} (complete) has trained these weights: they are evaluated, and not trained again"
    assert said in other.printed
    assert not any(line.startswith("step 4/") for line in other.printed)
    assert other.run.complete.exists()
    assert info(other.run.path)["weights_sha256"] == info(from_start.run.path)["weights_sha256"]
    assert rows_of(other.run) == rows_of(from_start.run)
    assert {name.rpartition("@")[2] for name in read_metrics(other.run.metrics)[-1] if "eval/" in name} == {"20"}
    assert content(other.run.samples) == content(from_start.run.samples)
    assert (other.run.checkpoints / "best.ckpt").exists()
    assert content(short.run.path) == before


@pytest.mark.slow
def test_what_cannot_go_on_is_a_new_run_and_says_so(tmp_path):
    decaying = ("lr_schedule=cosine_decay", "eval.num_samples=16", "eval.grid=10", "data.batch_size=16", "eval.every=4")
    short = train_small(tmp_path, *decaying, "trainer.max_steps=4")
    longer = train_small(tmp_path, *decaying, "trainer.max_steps=5")
    (line,) = [line for line in longer.printed if line.startswith(str(short.run.path))]
    assert "is not continued to 5: lr_schedule.T_max is as long as its training" in line
    assert "init_from=" in line
    assert info(longer.run.path)["starts"][0]["from_step"] == 0
    assert not info(longer.run.path)["extends"]
    of_a_length = (*decaying, "lr_schedule.T_max=9", "checkpoint.every=4")
    train_small(tmp_path, *of_a_length, "trainer.max_steps=4")
    fixed = train_small(tmp_path, *of_a_length, "trainer.max_steps=5")
    assert any(line.startswith("extended from 4 to 5 steps") for line in fixed.printed)
    lowered = train_small(tmp_path, *of_a_length, "trainer.max_steps=3")
    assert any(
        "has been trained beyond step 3 and keeps no checkpoint from before it" in line for line in lowered.printed
    )
    anew = train_small(tmp_path, *of_a_length, "trainer.max_steps=4", "run.restart=true")
    assert info(anew.run.path)["starts"][0]["from_step"] == 0
