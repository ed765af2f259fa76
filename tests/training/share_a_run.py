"""A script for torchrun: does what a plan says, one after the other, in each of its processes.

[["train", [override, ...]], ["train as said", [override, ...]], ["rewind", root, step], ["keep", root, copy], ["layouts"],
["die", rank, step]]
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

sys.path.insert(0, str(Path(__file__).parents[1]))

from difflab.cli.train import train
from difflab.training import DiffusionModule
from difflab.training.sharding.deepspeed_shards import ZeRO3Sharding
from difflab.training.sharding.fsdp import FSDPSharding
from running import SMALL, composed


def rewind(root: str, step: int) -> None:
    """Makes the run look as if it had been stopped after a checkpoint."""
    if dist.get_rank() == 0:
        (run,) = Path(root).glob("*/*")
        (run / "complete.json").unlink()
        for path in run.glob("checkpoints/step-*.ckpt"):
            if int(path.stem.split("-")[1]) > step:
                path.unlink()
    dist.barrier()


def keep(root: str, copy: str) -> None:
    """Copies the run as it is."""
    if dist.get_rank() == 0:
        shutil.copytree(root, copy)
    dist.barrier()


def layouts() -> None:
    """Shares of tensors that cannot be cut evenly come together again, and together they are everything once."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.three = nn.Parameter(torch.randn(3, 5))
            self.one = nn.Parameter(torch.randn(1))
            self.four = nn.Parameter(torch.randn(4, 2))

    def holds(sharding, module, whole):
        shares = sharding.shard(module, whole)
        count = torch.tensor([sum(float((share != 0).sum()) for share in shares.values())])
        dist.all_reduce(count)
        assert int(count) == sum(value.numel() for value in whole.values()), "every element once"
        back = sharding.gather(module, shares)
        if dist.get_rank() == 0:
            assert all(torch.equal(back[name], value) for name, value in whole.items())
        sharding.load(module, {name: 2 * share for name, share in shares.items()})
        doubled = sharding.gather(module, sharding.local_shards(module))
        if dist.get_rank() == 0:
            assert all(torch.equal(doubled[name], 2 * value) for name, value in whole.items())

    torch.manual_seed(0)
    module = Odd()
    whole = {name: torch.randn(p.shape) for name, p in module.named_parameters()}
    fully_shard(module, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    holds(FSDPSharding(), module, whole)

    module = Odd()
    for p in module.parameters():
        p.ds_shape, p.ds_tensor = p.shape, torch.zeros(-(-p.numel() // dist.get_world_size()))
    optimizer = SimpleNamespace(
        device=torch.device("cpu"),
        persistent_parameters=[],
        parameter_offload=SimpleNamespace(partition_all_parameters=lambda: None),
    )
    holds(ZeRO3Sharding(optimizer), module, whole)


def die(rank: int, step: int) -> None:
    """From now on a process is killed at a step, unless it has been started in place of a dead one."""
    whole_step = DiffusionModule.training_step

    def cut_short(self, batch, batch_idx):
        if self.trainer.global_step == step and self.global_rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole_step(self, batch, batch_idx)

    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        DiffusionModule.training_step = cut_short


if __name__ == "__main__":
    for what, *arguments in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        if what == "train":
            train(composed("train", *SMALL, *arguments[0]))
        elif what == "train as said":
            train(composed("train", *arguments[0]))
        else:
            {"rewind": rewind, "keep": keep, "layouts": layouts, "die": die}[what](*arguments)
