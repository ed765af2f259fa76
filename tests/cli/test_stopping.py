"""Runs that are told to stop, that are busy, and that begin anew."""

import os
import signal

import pytest
import torch

from difflab.runs import RunDirectory, RunLock, newest
from difflab.runs.export import read_exported
from difflab.runtime.signals import SIGNALS, signals
from difflab.training import DiffusionModule
from running import Outcome, differences, sample_from, saved_state, train_small


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Outcome:
    return train_small(tmp_path_factory.mktemp("whole"))


def stopped(capsys, root, *overrides) -> tuple[RunDirectory, str]:
    """A start that ends with the status that asks for another; its directory and what it said."""
    with pytest.raises(SystemExit) as exit_:
        train_small(root, *overrides)
    assert exit_.value.code == 75
    (config,) = root.glob("*/*/config.yaml")
    return RunDirectory(config.parent), capsys.readouterr().err


def step_of(run: RunDirectory) -> int:
    path = newest(run.checkpoints)
    assert path is not None
    return int(path.stem.removeprefix("step-"))


def assert_equal_ends(a: RunDirectory, b: RunDirectory) -> None:
    one, other = saved_state(a), saved_state(b)
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert differences(one[part], other[part], part) == []
    assert differences(one["callbacks"]["EMACallback"], other["callbacks"]["EMACallback"]) == []
    assert a.last_scores() == b.last_scores()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_saves_and_asks_for_another_start(whole, tmp_path, monkeypatch, capsys, number):
    """Within step 5, off every interval."""
    before = [signal.getsignal(one) for one in SIGNALS]
    training_step = DiffusionModule.training_step

    def told_to_stop(self, batch, batch_idx):
        if self.trainer.global_step == 4:
            assert {signal.getsignal(one) for one in SIGNALS} == {signals._handle}  # and not Lightning's own
            os.kill(os.getpid(), number)
        return training_step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(DiffusionModule, "training_step", told_to_stop)
        patch.setattr("difflab.runtime.signals.RESPECTED", ())  # whatever has started these tests
        run, said = stopped(capsys, tmp_path)
    assert [signal.getsignal(one) for one in SIGNALS] == before
    assert step_of(run) == 5
    assert number.name in said
    assert "run the same command again" in said
    assert not run.complete.exists()
    assert_equal_ends(whole.run, train_small(tmp_path).run)


def test_time_that_is_up_ends_the_start(whole, tmp_path, capsys):
    """With no time at all, every start takes one step. The limit is not part of what the run is."""
    for step in (1, 2):
        run, said = stopped(capsys, tmp_path, "trainer.max_time=0")
        assert step_of(run) == step
        assert "time limit" in said
    assert_equal_ends(whole.run, train_small(tmp_path).run)


def test_a_run_that_is_busy_is_left_alone(whole, tmp_path, capsys):
    directory = tmp_path / "cosine_adagn" / whole.run.path.name
    lock = RunLock(directory)
    lock.acquire()
    try:
        with pytest.raises(SystemExit) as exit_:
            train_small(tmp_path)
    finally:
        lock.release()
    assert exit_.value.code not in (0, 75)
    said = capsys.readouterr().err
    assert f"process {os.getpid()}" in said
    assert "run.restart=true" in said
    assert said.count("\n") == 1
    assert not (directory / "checkpoints").exists()
    assert train_small(tmp_path).run.complete.exists()


def test_a_restart_is_another_attempt_with_the_same_result(whole, tmp_path, capsys):
    first, _ = stopped(capsys, tmp_path, "trainer.max_time=0")
    second = train_small(tmp_path, "run.restart=true").run
    assert second.path == first.path.with_name(f"{first.path.name}-2")
    assert_equal_ends(whole.run, second)
    assert step_of(first) == 1
    assert train_small(tmp_path).printed[0].startswith("already complete")  # the newest attempt is the run


def test_background_saving_changes_nothing(whole, tmp_path):
    run = train_small(tmp_path, "checkpoint_io=asynchronous").run
    assert run.path.name == whole.run.path.name
    assert_equal_ends(whole.run, run)
    names = [sorted(path.name for path in r.checkpoints.iterdir()) for r in (whole.run, run)]
    assert names[0] == names[1]


def test_the_exported_weights_are_the_checkpoints(whole, tmp_path):
    state = saved_state(whole.run)
    assert sorted(path.name for path in whole.run.weights.iterdir()) == ["online.safetensors", "warm_up.safetensors"]
    for track in ("online", "warm_up"):
        exported, header = read_exported(whole.run.weights / f"{track}.safetensors")
        assert (header["track"], header["step"]) == (track, "12")
        for name, value in exported.items():
            shadow = state["callbacks"]["EMACallback"]["shadows"]["warm_up"].get(name)
            online = state["state_dict"][f"denoiser.{name}"]
            assert torch.equal(value, online if track == "online" or shadow is None else shadow), (track, name)
    for source in (whole.run.path, whole.run.weights / "warm_up.safetensors"):
        sample_from(source, tmp_path / source.name, "num_samples=4")
    images = [
        (tmp_path / source / "samples_4x8x8x1.npz").read_bytes()
        for source in (whole.run.path.name, "warm_up.safetensors")
    ]
    assert images[0] == images[1]
