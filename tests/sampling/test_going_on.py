"""The same command again goes on where the run was, bit for bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from difflab.runs import RunDirectory, read_metrics
from running import SMALL, Outcome, differences, saved_state, train_small, train_until

HARD = (
    "network.dropout=0.1",
    "condition_dropout=0.2",
    "trainer.accumulate_grad_batches=2",
    "objective/time_sampler=loss_second_moment",
    "objective.time_sampler.history=2",
    "ema=[warm_up,half_life]",
    "lr_schedule=warm_up",
    "trainer.gradient_clip_val=1.0",
)
"""Everything that has a state or draws random numbers; after some steps the time sampler's histories are full."""

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Outcome:
    """The run that nothing interrupts."""
    return train_small(tmp_path_factory.mktemp("whole"), *HARD)


def rows_of(run: RunDirectory) -> list[dict[str, float]]:
    """What was logged, but for the speed."""
    return [
        {name: value for name, value in row.items() if name not in ("train/images_per_second", "train/data_wait_share")}
        for row in read_metrics(run.metrics)
    ]


def assert_equal_runs(a: RunDirectory, b: RunDirectory) -> None:
    assert a.path.name == b.path.name
    one, other = saved_state(a), saved_state(b)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert differences(one[part], other[part], part) == []
    for part in ("EMACallback", "ObjectiveCallback"):
        assert differences(one["callbacks"][part], other["callbacks"][part], part) == []
    assert rows_of(a) == rows_of(b)
    for picture in sorted(a.samples.iterdir()):
        assert picture.read_bytes() == (b.samples / picture.name).read_bytes()


def test_the_run_has_something_to_lose(whole):
    """Otherwise equality below would prove little."""
    state = saved_state(whole.run)["callbacks"]
    assert (state["ObjectiveCallback"]["time_sampler"]["counts"] == 2).all()
    assert list(state["EMACallback"]["shadows"]) == ["warm_up", "half_life"]
    assert state["EMACallback"]["step"] == 12
    # the histories are full before the last interruption, so importance weights depended on them
    filled = torch.load(whole.run.checkpoints / "step-00000009.ckpt", weights_only=True)["callbacks"][
        "ObjectiveCallback"
    ]
    assert (filled["time_sampler"]["counts"] == 2).all()


@pytest.mark.parametrize("step", [4, 7, 11])
def test_after_a_power_cut(whole, monkeypatch, tmp_path, step):
    """Within an interval of the log and of the history, after an evaluation, just before the end."""
    cut = train_until(step, monkeypatch, tmp_path, *HARD)
    assert not cut.complete.exists()
    went_on = train_small(tmp_path, *HARD)
    assert any(line.startswith(f"resuming from step {step // 3 * 3} ") for line in went_on.printed)
    assert_equal_runs(whole.run, went_on.run)
    assert went_on.run.complete.exists()


def test_after_two_power_cuts(whole, monkeypatch, tmp_path):
    """The first before there is a checkpoint."""
    train_until(1, monkeypatch, tmp_path, *HARD)
    train_until(10, monkeypatch, tmp_path, *HARD)
    assert_equal_runs(whole.run, train_small(tmp_path, *HARD).run)


def test_logs_that_ran_ahead_of_the_checkpoint_are_written_anew(whole, monkeypatch, tmp_path):
    cut = train_until(8, monkeypatch, tmp_path, *HARD)
    with cut.metrics.open("a", encoding="utf-8") as file:
        file.write('{"step": 8, "train/loss": 99.0}\n{"step": 10, "train/lo')
    assert_equal_runs(whole.run, train_small(tmp_path, *HARD).run)


def test_a_run_that_differs_is_seen_to_differ(whole, tmp_path):
    """The comparison can fail."""
    other = train_small(tmp_path, *HARD, "seed=1")
    assert other.run.path.name != whole.run.path.name
    one, two = saved_state(whole.run), saved_state(other.run)
    assert differences(one["state_dict"], two["state_dict"])
    assert differences(one["callbacks"]["ObjectiveCallback"], two["callbacks"]["ObjectiveCallback"])


def test_other_ways_of_execution_may_take_over(whole, monkeypatch, tmp_path):
    """Interrupted with two micro-batches per step, continued with one: the same run, equal but for rounding (and dropout's draws)."""
    without_dropout = [*HARD, "network.dropout=0"]
    reference = train_small(tmp_path / "reference", *without_dropout)
    train_until(7, monkeypatch, tmp_path / "cut", *without_dropout)
    changed = train_small(tmp_path / "cut", *without_dropout, "trainer.accumulate_grad_batches=1", "eval.batch_size=40")
    assert changed.run.path.name == reference.run.path.name
    for a, b in zip(rows_of(reference.run), rows_of(changed.run), strict=True):
        assert a == pytest.approx(b, rel=1e-4), a["step"]


@pytest.mark.parametrize("damage", ["truncated", "bit flipped"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(whole, monkeypatch, tmp_path, caplog, damage):
    cut = train_until(7, monkeypatch, tmp_path, *HARD)
    newest = cut.checkpoints / "step-00000006.ckpt"
    content = bytearray(newest.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 16
    newest.unlink()  # best.ckpt may be another name of the same file
    newest.write_bytes(content)
    with caplog.at_level("WARNING"):
        went_on = train_small(tmp_path, *HARD)
    assert any(str(newest) in record.getMessage() and "damaged" in record.getMessage() for record in caplog.records)
    assert any(line.startswith("resuming from step 3 ") for line in went_on.printed)
    assert_equal_runs(whole.run, went_on.run)


def test_a_full_disk_is_one_clear_error_and_loses_nothing(whole, monkeypatch, tmp_path, capsys):
    save = torch.save

    def full_disk(content, file, *args, **kwargs):
        if content["global_step"] < 9:
            return save(content, file, *args, **kwargs)
        save(content["state_dict"], file)  # a part of it gets written
        raise RuntimeError(
            "[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0: No space left on device"
        )

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises((SystemExit, RuntimeError, OSError)) as failure:
            train_small(tmp_path, *HARD)
    said = f"{failure.value} {capsys.readouterr().err}"
    assert "No space left on device" in said
    assert "step-00000009.ckpt" in said
    (checkpoints,) = tmp_path.glob("*/*/checkpoints")
    assert sorted(path.name for path in checkpoints.glob("step-*"))[-1:] == ["step-00000006.ckpt"]
    assert not list(checkpoints.glob("*.tmp"))
    assert_equal_runs(whole.run, train_small(tmp_path, *HARD).run)


def command(root: Path, *overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *SMALL, f"run.root={root}", *overrides]


def test_after_sigkill(whole, tmp_path):
    """The real thing: a process that is killed without a word, and then the same command in another process."""
    process = subprocess.Popen(
        command(tmp_path, *HARD), cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 8/"):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (killed,) = tmp_path.glob("*/*")
    assert not (killed / "complete.json").exists()
    again = subprocess.run(command(tmp_path, *HARD), cwd=ROOT, capture_output=True, encoding="utf-8", timeout=900)
    assert again.returncode == 0, again.stderr
    assert "resuming from step 6 " in again.stdout
    assert again.stdout.splitlines()[-1] == str(killed)
    assert_equal_runs(whole.run, RunDirectory(killed))


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(tmp_path):
    """DDP over two processes: the same identity, and losses, scores and weights that differ by the order of sums alone."""
    overrides = [
        "condition_dropout=0.2",
        "objective/time_sampler=loss_second_moment",
        "objective.time_sampler.history=2",
    ]
    one = train_small(tmp_path / "one", *overrides)
    ddp = ["trainer.devices=2", "strategy=ddp", "eval.batch_size=8"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    two = subprocess.run(
        command(tmp_path / "two", *overrides, *ddp),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
    )
    assert two.returncode == 0, two.stderr
    both = RunDirectory(two.stdout.splitlines()[-1])
    assert both.path.name == one.run.path.name
    for a, b in zip(rows_of(one.run), rows_of(both), strict=True):
        assert a == pytest.approx(b, rel=1e-4), a["step"]
    histories = [saved_state(run)["callbacks"]["ObjectiveCallback"]["time_sampler"] for run in (one.run, both)]
    torch.testing.assert_close(histories[0], histories[1], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(
        saved_state(one.run)["state_dict"], saved_state(both)["state_dict"], rtol=1e-3, atol=1e-5
    )
    assert sorted(path.name for path in both.samples.iterdir()) == sorted(
        path.name for path in one.run.samples.iterdir()
    )
