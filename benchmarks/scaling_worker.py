"""One process of one measurement: trains for some steps and writes down how long each took and what the process held.

    python benchmarks/scaling_worker.py plan.json                                              alone
    torchrun --nproc_per_node 8 benchmarks/scaling_worker.py plan.json                         several; srun does as well
    {"overrides": ["+experiment=cosine_adagn", "strategy=ddp"], "steps": 20, "warm_up": 5, "label": "ddp", "out": "folder"}

scaling.py makes plans, starts these processes on one machine and makes tables of what they wrote.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from hydra.utils import instantiate
from torch import Tensor
from torch.distributed.tensor import DTensor

from difflab.config import derived as resolvers
from difflab.config.derived import divide
from difflab.config.keys import composed
from difflab.distributed.group import rank, world_size
from difflab.runtime.console import quiet_lightning
from difflab.studies.planning.counting import counted
from difflab.training.sharding.fsdp import repeated_blocks
from difflab.types import Condition, Label


class Stopwatch(pl.Callback):
    """When each step begins, data and averages included, and how many seconds this process has computed by then.

    Args:
        ready: Called when everything is set up, before the first step.
    """

    def __init__(self, ready: Callable[[], None]):
        self.ready = ready
        self.starts: list[float] = []
        self.busy: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.ready()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._mark(pl_module.device)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._mark(pl_module.device)

    def _mark(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.starts.append(time.perf_counter())
        self.busy.append(time.process_time())


def measure(plan: dict[str, Any]) -> dict[str, Any]:
    """Trains as the plan says."""
    quiet_lightning()
    resolvers.add_resolvers()
    steps = plan["warm_up"] + plan["steps"]
    config = composed("train", [*plan["overrides"], f"trainer.max_steps={steps}"])
    processes = divide(config, lambda asked: asked, starts_other_nodes=False)
    torch.manual_seed(0)
    before = resident()
    module = instantiate(config.module, _convert_="all")
    data = instantiate(config.data, _convert_="all")
    strategy = instantiate(config.strategy, _convert_="all")
    watch = Stopwatch(lambda: wait_for_others(plan))
    trainer = instantiate(
        config.trainer,
        strategy=strategy.lightning(processes),
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        limit_val_batches=0,
        max_time=None,
        _convert_="all",
    )
    trainer.fit(module, datamodule=data)
    seconds, busy = ([b - a for a, b in pairwise(marks)][plan["warm_up"] :] for marks in (watch.starts, watch.busy))
    median = statistics.median(seconds)
    is_gpu = module.device.type == "cuda"
    return {
        "label": plan["label"],
        "processes": processes,
        "rank": rank(),
        "batch": config.data.batch_size,
        "step_seconds": median,
        "steps": seconds,
        "processor_seconds": min(busy),
        "images_per_second": config.data.batch_size / median,
        "held": held(trainer, module),
        "peak_bytes": torch.cuda.max_memory_allocated() if is_gpu else peak_resident() - before,
        "peak_is": "allocated on the GPU" if is_gpu else "resident, above that before the model was built",
        "machine": torch.cuda.get_device_name() if is_gpu else f"CPU, {platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "lightning": version("pytorch-lightning"),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


def held(trainer: pl.Trainer, module: Any) -> dict[str, int]:
    """Bytes in this process after training that stay from step to step; gradients are gone then."""
    weights = [_own(p) for p in module.denoiser.parameters()]
    optimizer, copies = trainer.optimizers[0], []
    zero: Any = trainer.strategy
    if type(zero).__name__ == "ZeROStrategy":
        optimizer = zero._plain
        copies = [
            piece for piece in zero.sharding.flat_pieces() if piece.data_ptr() not in {w.data_ptr() for w in weights}
        ]
    moments = [
        _own(v) for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor) and v.dim()
    ]
    averages = [_own(v) for track in module.ema.tracks.shadows.values() for v in track.values()]
    return {
        "weights": _bytes(weights),
        "optimizer": _bytes(moments),
        "averages": _bytes(averages),
        "copies": _bytes(copies),
    }


def _own(value: Tensor) -> Tensor:
    """The part of a tensor that is in this process."""
    if isinstance(value, DTensor):
        return value.to_local()
    return getattr(value, "ds_tensor", value)  # DeepSpeed's share of a weight


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


def peak_resident() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def wait_for_others(plan: dict[str, Any]) -> None:
    """Processes that do not talk still start together: each writes a file and waits for those of the others."""
    if "apart" not in plan:
        return
    folder, (me, count) = Path(plan["out"]), plan["apart"]
    (folder / f"{plan['label']}.ready-{me}").touch()
    while len(list(folder.glob(f"{plan['label']}.ready-*"))) < count:
        time.sleep(0.005)


def work(plan: dict[str, Any]) -> dict[str, Any]:
    """What the network of the plan costs, by torch's counters."""
    resolvers.add_resolvers()
    config = composed("train", plan["overrides"])
    network = instantiate(config.module, _convert_="all").denoiser.network
    found = counted(network, Condition(label=Label(torch.zeros(1, dtype=torch.long))), repeated_blocks(network))
    return {"label": plan["label"], "work": vars(found)}


def links(plan: dict[str, Any]) -> dict[str, Any]:
    """Bandwidth and latency of an all-reduce (an all-gather is half of one), rate of memory, all with every process busy."""
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else torch.device("cpu")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    n, large, small = world_size(), torch.zeros(plan["floats"], device=device), torch.zeros(1, device=device)
    copy = torch.empty_like(large)

    def seconds(function: Callable[[], Any]) -> float:
        found = []
        for _ in range(plan["steps"]):
            start = time.perf_counter()
            function()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            found.append(time.perf_counter() - start)
        return statistics.median(found)

    latency = seconds(lambda: dist.all_reduce(small))
    sent = 2 * (n - 1) / n * _bytes([large])
    result = {
        "label": plan["label"],
        "processes": n,
        "rank": rank(),
        "message_seconds": latency / (2 * (n - 1)),
        "bytes_per_second": sent / max(seconds(lambda: dist.all_reduce(large)) - latency, 1e-9),
        "memory_bytes_per_second": 2 * _bytes([large]) / seconds(lambda: copy.copy_(large)),
    }
    dist.destroy_process_group()
    return result


def main(plan: dict[str, Any]) -> None:
    """Does what the plan says and writes <out>/<label>-<rank>.json."""
    done = {"train": measure, "links": links, "work": work}[plan.get("what", "train")](plan)
    name = f"{plan['label']}-{plan['apart'][0] if 'apart' in plan else done.get('rank', 0)}.json"
    (Path(plan["out"]) / name).write_text(json.dumps(done), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
