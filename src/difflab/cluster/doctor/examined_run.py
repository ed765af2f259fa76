"""What the doctor examines for a run: its packages, processes, disk, data and logger, as its configuration says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

from difflab.cluster.doctor.check import Check
from difflab.cluster.doctor.cluster_checks import ClockSkew, DataReachable, SharedFolder
from difflab.cluster.doctor.job_checks import AllReduce, SlurmLimits
from difflab.cluster.doctor.machine_checks import DiskSpace, GPUs, OpenFiles, SharedMemory
from difflab.cluster.doctor.versions import Versions, WandbLogin
from difflab.config.build import build, target
from difflab.config.derived import divide
from difflab.config.run import composed_as_running
from difflab.config.training import complete
from difflab.data.stream import images_per_micro_batch
from difflab.distributed.world import process_count


def checks_of(overrides: Sequence[str]) -> list[Check]:
    """All checks; what no argument names is not examined.

    Args:
        overrides: Arguments of a training command, which describe the run.

    Raises:
        ValueError: They make no configuration that can be run.
        RuntimeError: Neither.
    """
    config = composed_as_running("train", list(overrides))
    complete(config)
    processes = divide(config, lambda here: here, target(config.launcher).starts_other_nodes)
    trainer, data = config.trainer, config.data
    run_named = any(override.lstrip("+").startswith("experiment=") for override in overrides)
    data_named = run_named or any(override.startswith("data") for override in overrides)
    here = process_count(trainer.accelerator, trainer.devices, 1)
    images = images_per_micro_batch(data.batch_size, processes, trainer.accumulate_grad_batches)
    batch_bytes = images * data.channels * data.image_size**2
    wandb = config.logger.get("wandb")
    return [
        Versions(target(config.strategy).packages),
        GPUs(str(trainer.accelerator), here, str(trainer.precision)),
        AllReduce(str(trainer.accelerator)),
        SharedFolder(config.run.root),
        DiskSpace(config.run.root, (lambda: bytes_needed(config)) if run_named else None),
        DataReachable((lambda: first_images(config)) if data_named else None),
        WandbLogin(None if wandb is None else str(wandb.mode)),
        SlurmLimits(float(config.run.margin), processes if run_named else None),
        ClockSkew(),
        OpenFiles(data.num_workers),
        SharedMemory(data.num_workers, batch_bytes, here),
    ]


def bytes_needed(config: Any) -> int:
    """What the run's checkpoints, snapshots and exported weights will take: everything in float32, Adam's two moments with it."""
    with torch.device("meta"):  # sizes without values
        network = build(config.network)
    weights = 4 * sum(p.numel() for p in network.parameters())
    tracks, steps = len(config.ema), config.trainer.max_steps
    kept = config.checkpoint.keep_last + 2  # the one that is being written, and the best
    if config.checkpoint.milestone:
        kept += steps // config.checkpoint.milestone
    snapshots = tracks * (steps // config.ema_snapshots.every) if config.ema_snapshots.every else 0
    return weights * (kept * (3 + tracks) + (1 + tracks) + snapshots)


def first_images(config: Any) -> tuple[int, list[int], str]:
    """(how many images there are, the shape of one, a hash of the first and the last)."""
    dataset = build(config.data).dataset
    images = dataset.images([0, len(dataset) - 1])
    digest = hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()
    return len(dataset), list(images.shape[1:]), digest[:16]
