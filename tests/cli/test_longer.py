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
    "ema_snapshots.every=6",
    "lr_schedule=warm_up",
    "data.num_workers=1",
)
"""What has a state or draws random numbers."""

SPEED = ("train/images_per_second", "train/data_wait_share")


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Outcome:
    """Twelve steps from the start."""
    return train_small(tmp_path_factory.mktemp("long"), *HARD)


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Outcome:
    """The first six."""
    return train_small(tmp_path_factory.mktemp("short") / "with space", *HARD, "trainer.max_steps=6")


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
        f"extended from 6 to 12 steps: {short.run.path} (complete) has trained the first 6, and stays as it is"
        in extended.printed
    )
    assert any(line.startswith("resuming from step 6 ") for line in extended.printed)
    assert_equal_runs(long.run, extended.run)
    assert content(short.run.path) == before
    told = as_text(info(extended.run.path))
    assert f"extends   {short.run.path} from step 6" in told
    again = train_small(root_of(short), *HARD, "trainer.max_steps=6")
    assert again.run.path == short.run.path
    assert "already complete" in again.printed[0]


def test_a_run_that_was_cut_is_extended_and_cut_in_the_middle_of_it(long, monkeypatch, tmp_path):
    train_until(4, monkeypatch, tmp_path, *HARD, "trainer.max_steps=6", "checkpoint.every=2")
    cut = train_until_elsewhere(8, monkeypatch, tmp_path, *HARD, "checkpoint.every=2")
    assert not cut.complete.exists()
    assert newest(cut.checkpoints) == cut.checkpoints / "step-00000008.ckpt"
    extended = train_small(tmp_path, *HARD)
    assert any(line.startswith("resuming from step 8 ") for line in extended.printed)
    assert_equal_runs(long.run, extended.run)
    assert [one["step"] for one in info(extended.run.path)["extends"]] == [4]


def test_what_was_judged_otherwise_is_judged_again_and_not_trained(short):
    """Scores of two protocols never stand in one file, and the weights are the same ones."""
    before = content(short.run.path)
    other = train_small(root_of(short), *HARD, "trainer.max_steps=6", "eval.num_samples=30", "sampler.grid.steps=3")
    assert (
        f"{short.run.path} (complete) has trained these weights: they are evaluated, and not trained again"
        in other.printed
    )
    assert not any(line.startswith("step 6/") for line in other.printed)
    assert other.run.complete.exists()
    assert other.run.path != short.run.path
    assert info(other.run.path)["weights_sha256"] == info(short.run.path)["weights_sha256"]
    last = read_metrics(other.run.metrics)[-1]
    assert last["step"] == 6
    assert {name.rpartition("@")[2] for name in last if name.startswith("eval/")} == {"30"}
    trained = [{n: v for n, v in row.items() if not n.startswith("eval/")} for row in rows_of(short.run)]
    assert [{n: v for n, v in row.items() if not n.startswith("eval/")} for row in rows_of(other.run)] == trained
    assert len(other.run.pictures(6)) == 2
    assert (other.run.checkpoints / "best.ckpt").exists()
    assert content(short.run.path) == before
    assert (
        "already complete"
        in train_small(
            root_of(short), *HARD, "trainer.max_steps=6", "eval.num_samples=30", "sampler.grid.steps=3"
        ).printed[0]
    )


def test_it_is_the_score_that_training_would_have_given(short, tmp_path):
    """Judged afterwards or from the start: the same numbers and pictures."""
    asked = (*HARD, "trainer.max_steps=6", "eval.num_samples=30")
    from_start, after = train_small(tmp_path, *asked), train_small(root_of(short), *asked)
    assert rows_of(from_start.run) == rows_of(after.run)
    assert content(from_start.run.samples) == content(after.run.samples)


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
    anew = train_small(tmp_path, *of_a_length, "trainer.max_steps=6", "run.restart=true")
    assert info(anew.run.path)["starts"][0]["from_step"] == 0
