"""Two processes and one: the same sums, histories, losses and averages."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from difflab.distributed.group import from_first_process, gathered, rank, sum_over_processes, world_size
from difflab.noise import ImageNoise
from difflab.objectives import Simple
from difflab.objectives.time_samplers import LossSecondMoment
from difflab.objectives.weightings import Unweighted
from difflab.training.callbacks import ObjectiveCallback
from difflab.types import Condition, Label
from tiny import CLASSES, Rows, losses_of, tiny_denoiser

BATCH, STEPS = 24, 6


class Counter:
    """What the objective's socket asks of a Trainer."""

    def __init__(self):
        self.global_step, self.rows = 0, Rows()
        self.accumulate_grad_batches, self.world_size = 1, world_size()
        self.loggers = [self.rows]


def train(process: int, processes: int, accumulate: int):
    """(history, log, state) of a socket that sees its share of every batch; the weights stay as they are."""
    denoiser, sampler, trainer = tiny_denoiser(), LossSecondMoment(20, history=2), Counter()
    socket = ObjectiveCallback(Simple(sampler, Unweighted()), log_every=4, condition_dropout=0.3)
    socket.on_train_start(trainer, denoiser)  # type: ignore[arg-type]
    micro = BATCH // (processes * accumulate)
    for step in range(STEPS):
        for part in range(accumulate):
            start = step * BATCH + (part * processes + process) * micro
            number = torch.arange(start, start + micro)
            x_0 = ImageNoise(9, number).normal("images", (1, 4, 4)).float()
            losses_of(socket, denoiser, x_0, Condition(label=Label(number % CLASSES)), ImageNoise(0, number))
            trainer.global_step = step + (part == accumulate - 1)
            socket.on_train_batch_end(trainer, denoiser, None, None, 0)  # type: ignore[arg-type]
    return sampler.state_dict(), trainer.rows.rows, socket.state_dict()


def _process(process: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=process, world_size=2)
    assert (rank(), world_size()) == (process, 2)
    mine = [torch.full((2, 3), 1.0 + process), torch.tensor(10.0 * process)]
    summed = sum_over_processes(mine)
    assert summed[0].tolist() == [[3.0] * 3] * 2
    assert summed[1].item() == 10.0
    assert mine[0][0, 0].item() == 1.0 + process  # the arguments are left as they are
    assert from_first_process([torch.tensor([float(process)])])[0].tolist() == [0.0]
    assert gathered(torch.tensor([process, process + 10])).tolist() == [0, 10, 1, 11]
    assert gathered(torch.arange(8).reshape(4, 2)[:, process]).tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    results = {a: train(process, 2, a) for a in (1, 3)}
    torch.save(results, Path(folder) / f"{process}.pt")
    resumed = ObjectiveCallback(Simple(LossSecondMoment(20, history=2), Unweighted()), 4)
    resumed.load_state_dict(results[1][2])
    torch.testing.assert_close(resumed.state_dict()["sums"], results[1][2]["sums"])  # counted once, not by each process
    dist.destroy_process_group()


def test_two_processes_learn_what_one_learns(tmp_path):
    spawn(_process, args=(str(tmp_path),), nprocs=2)
    history, rows, state = train(0, 1, 1)
    assert (history["counts"] == 2).any()
    assert list(rows) == [4]
    for process in range(2):
        for accumulate in (1, 3):
            theirs = torch.load(tmp_path / f"{process}.pt")[accumulate]
            assert torch.equal(theirs[0]["counts"], history["counts"])
            torch.testing.assert_close(theirs[0]["losses"], history["losses"], rtol=1e-6, atol=0)
            assert theirs[1].keys() == rows.keys()
            assert theirs[1][4] == pytest.approx(rows[4], rel=1e-6)
            torch.testing.assert_close(theirs[2]["sums"], state["sums"], rtol=1e-6, atol=1e-9)


def test_one_process_is_left_in_peace():
    tensors = [torch.arange(3.0), torch.tensor(2.0)]
    assert (rank(), world_size()) == (0, 1)
    for function in (sum_over_processes, from_first_process):
        torch.testing.assert_close(function(tensors), tensors)
    assert gathered(tensors[0]) is tensors[0]
