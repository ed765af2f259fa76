"""Which checkpoints a run keeps, and which it trusts."""

import os
import zipfile

import pytest
import torch

from difflab.evaluation import EvaluationCallback
from difflab.runs import newest, read_metrics
from difflab.runtime.signals import EVALUATING, LAST_EVALUATION, TRAINING, signals
from difflab.training import TrainedModule
from running import train_small

SCORE = "eval/warm_up/fd_digits@40"


def kept(run) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in run.checkpoints.glob("step-*.ckpt"))


def test_the_last_and_the_milestones_are_kept(tmp_path):
    run = train_small(tmp_path, "checkpoint.every=2", "checkpoint.keep_last=3", "checkpoint.milestone=4").run
    assert kept(run) == [4, 8, 10, 12]
    assert not list(run.checkpoints.glob("*.tmp"))


def test_the_last_step_is_saved_though_it_is_off_the_interval(tmp_path):
    run = train_small(tmp_path, "checkpoint.every=5", "checkpoint.keep_last=1", "trainer.max_steps=11").run
    assert max(kept(run)) == 11
    assert len(kept(run)) == 1
    assert torch.load(newest(run.checkpoints), weights_only=True)["global_step"] == 11  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scores", "best_step"), [([30.0, 10.0, 20.0], 8), ([30.0, 20.0, 10.0], 12), ([1.0, 2.0, 3.0], 4)]
)
def test_best_is_the_checkpoint_with_the_lowest_distance(tmp_path, monkeypatch, scores, best_step):
    given = iter(scores)
    evaluate = EvaluationCallback.evaluate

    def scripted(self, trainer, pl_module, *arguments):
        results, first = evaluate(self, trainer, pl_module, *arguments)
        return {**results, "fd_digits": next(given)}, first

    monkeypatch.setattr(EvaluationCallback, "evaluate", scripted)
    run = train_small(tmp_path, "eval.every=4", "checkpoint.every=12", "checkpoint.keep_last=1").run
    assert [row[SCORE] for row in read_metrics(run.metrics) if SCORE in row] == scores
    best = torch.load(run.checkpoints / "best.ckpt", weights_only=True)
    assert best["global_step"] == best_step


def test_a_signal_is_told_what_it_interrupts(tmp_path, monkeypatch):
    stages = []
    evaluate, step = EvaluationCallback.evaluate, TrainedModule.training_step

    def noted(self, *arguments):
        stages.append(signals.stage)
        return evaluate(self, *arguments)

    def stepped(self, *arguments):
        stages.append(signals.stage)
        return step(self, *arguments)

    monkeypatch.setattr(EvaluationCallback, "evaluate", noted)
    monkeypatch.setattr(TrainedModule, "training_step", stepped)
    train_small(tmp_path, "trainer.max_steps=4", "eval.every=2", "eval.num_samples=16")
    assert stages == [TRAINING] * 2 + [EVALUATING] + [TRAINING] * 2 + [LAST_EVALUATION]


def test_the_best_of_an_earlier_start_counts(tmp_path, monkeypatch):
    """The run's best score is in the checkpoint, so a start after a crash does not take a worse one for the best."""
    run = train_small(tmp_path).run
    state = torch.load(newest(run.checkpoints), weights_only=True)  # type: ignore[arg-type]
    lowest = min(row[SCORE] for row in read_metrics(run.metrics) if SCORE in row)
    (watcher,) = (value for name, value in state["callbacks"].items() if name.startswith("Checkpoints"))
    assert watcher["best"] == pytest.approx(lowest)


def write(path, content=b"weights", compress=zipfile.ZIP_STORED) -> None:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", compress) as archive:
        archive.writestr("data", content)


def test_the_newest_is_by_step_and_not_by_time(tmp_path):
    for step in (100, 20, 99999999, 100000001):
        write(tmp_path / f"step-{step:08d}.ckpt")
    os.utime(tmp_path / "step-100000001.ckpt", (0, 0))
    write(tmp_path / "best.ckpt")
    assert newest(tmp_path) == tmp_path / "step-100000001.ckpt"


def test_every_flipped_bit_is_seen(tmp_path, caplog):
    """In the entry, in its header and in the table of contents."""
    write(tmp_path / "step-00000001.ckpt")
    path = tmp_path / "step-00000002.ckpt"
    write(path, content=bytes(range(256)) * 4)
    whole = path.read_bytes()
    payload = whole.index(bytes(range(256)))
    for place in (payload, payload + 511, payload + 1023):
        for bit in (0, 7):
            torn = bytearray(whole)
            torn[place] ^= 1 << bit
            path.write_bytes(torn)
            assert newest(tmp_path) == tmp_path / "step-00000001.ckpt", (place, bit)
    path.write_bytes(whole)
    assert newest(tmp_path) == path
    for length in (0, 1, payload, len(whole) - 1):
        path.write_bytes(whole[:length])
        caplog.clear()
        assert newest(tmp_path) == tmp_path / "step-00000001.ckpt", length
        assert str(path) in caplog.text


def test_no_checkpoint_is_none(tmp_path):
    assert newest(tmp_path) is None
    assert newest(tmp_path / "absent") is None
    (tmp_path / "step-00000004.ckpt").write_bytes(b"torn")
    (tmp_path / "step-00000008.ckpt.tmp").write_bytes(b"not finished")
    assert newest(tmp_path) is None
