"""The benchmark of the loop: what is compared does the same, and the loop is that of the command."""

import contextlib
import json
import time

import pytest
import torch
from benchmarks.bare_loop import OwnLoss, PlainTorch
from benchmarks.lightning_loop import DifflabLoop, LightningAlone, NoJudge, watchers
from benchmarks.loop import measure, mirror
from benchmarks.loop_task import TINY, TRACKS
from benchmarks.settings import Settings

from difflab.evaluation import EvaluationCallback
from difflab.runs import RunDirectory, RunLock
from difflab.training.run import loop
from running import train_small

CPU = torch.device("cpu")


def weights(module):
    return {name: p.detach().clone() for name, p in module.denoiser.named_parameters()}


def test_the_loop_adds_nothing_to_the_numbers(tmp_path):
    """difflab's loop with watchers, log and averages against a bare one with its loss: the same bits after five steps."""
    bare, watched = OwnLoss(TINY, TINY.module(), CPU), DifflabLoop(TINY, TINY.module(3), CPU, tmp_path, log_every=2)
    start = weights(bare.module)
    bare(4)
    watched(4)
    torch.testing.assert_close(weights(watched.module), weights(bare.module), rtol=0, atol=0)
    assert any(not torch.equal(value, start[name]) for name, value in weights(bare.module).items())
    assert watched.module.ema.tracks.step == 5
    assert len(watched.module.ema.tracks.shadows) == 3
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4][: len(lines)]


def test_a_bare_loop_learns_the_noise():
    """Its loss is DDPM's: 1 for a network that says nothing (its last layer begins at zero), less once it is trained."""
    torch.manual_seed(0)
    loop = PlainTorch(TINY, TINY.module(), CPU)
    before = torch.stack([loop.loss().detach() for _ in range(20)]).mean()
    for group in loop.optimizer.param_groups:
        group["lr"] = 0.003
    loop(60)
    after = torch.stack([loop.loss().detach() for _ in range(20)]).mean()
    assert before == pytest.approx(1, abs=0.05)
    assert after < 0.9


def test_all_train_the_same_network(tmp_path):
    loops = PlainTorch(TINY, TINY.module(), CPU), OwnLoss(TINY, TINY.module(), CPU)
    modules = [loop.module for loop in loops] + [LightningAlone(TINY, TINY.module(), CPU).loop.module]
    modules += [DifflabLoop(TINY, TINY.module(number), CPU, tmp_path).module for number in TRACKS]
    for module in modules[1:]:
        torch.testing.assert_close(weights(module), weights(modules[0]), rtol=0, atol=0)


def test_the_watchers_are_those_of_the_command(tmp_path, monkeypatch):
    seen = []

    def looked_at(trainer, module, data, checkpoint):
        seen.extend(trainer.callbacks)
        return loop.ExitStatus("interrupted")

    monkeypatch.setattr(loop, "fit", looked_at)
    with contextlib.suppress(IndexError, ValueError):  # nothing was trained, so nothing is reported
        train_small(tmp_path, "eval.num_samples=20")
    there = {type(callback) for callback in seen} - {EvaluationCallback}
    ours = watchers(TINY.config(), RunDirectory(tmp_path), RunLock(tmp_path))
    assert there == {type(callback) for callback in ours} - {NoJudge}


@pytest.mark.filterwarnings("ignore")
def test_everything_is_measured(tmp_path):
    settings = Settings(1, True, CPU, tmp_path)
    whole, small, averages, checkpoint, _ = measure(settings)
    assert whole.goals[0].against == "bare loop"
    assert small.values.keys() > whole.values.keys()
    assert averages.values.keys() == {"a step", "1 average", "3 averages"}
    size = checkpoint.facts["atomic"]["bytes"]
    assert size > 4 * small.facts["bare loop"]["parameters"] * 6, "weights, two moments, three averages"
    assert all(values[0] > 0 for one in (whole, small, averages, checkpoint) for values in one.values.values())


def test_the_mirror_has_sent_what_was_logged(tmp_path):
    from difflab.runs.wandb.offline_file import last_mirrored_step

    found = mirror(Settings(2, True, CPU, tmp_path))
    assert found.values.keys() == {"metrics.jsonl", "W&B, offline"}
    last = max(int(path.stem.removeprefix("step-")) for path in (tmp_path / "mirrored/checkpoints").glob("*"))
    patience = time.monotonic() + 20  # W&B writes its file in a process of its own
    while (there := last_mirrored_step(tmp_path / "mirrored" / "wandb")) < last and time.monotonic() < patience:
        time.sleep(0.2)
    assert there == last
