"""Many images from consecutive seeds, over any number of processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.conditioning import Conditions
from difflab.distributed.collective import first_text, from_first_process, rank, sum_over_processes, world_size
from difflab.runtime.progress import Progress
from difflab.sampling.sample_set import SamplingError, SamplingStopped, SetFolder
from difflab.types import Condition

DrawBatch = Callable[[Int[Tensor, " b"], Condition], UInt8[Tensor, "b c h w"]]
"""(seeds, condition) -> images."""


def draw_missing(
    folder: SetFolder,
    num_samples: int,
    first_seed: int,
    conditions: Conditions,
    draw_batch: DrawBatch,
    device: torch.device,
    stop: Callable[[], bool],
    progress: Progress,
    overwrite: bool = False,
    keep_shards: bool = True,
) -> None:
    """Draws the shards that are not there yet. All processes must call it; process 0 holds the folder until it has called `folder.end()`.

    stop         whether to stop now; all processes ask after the same turn and get the same answer
    overwrite    throws away other images that are there
    keep_shards  False if `folder.drop_shards()` may remove the shards later

    SamplingStopped if it was told to stop; SamplingError, on every process, if one of them could not go on.
    """
    size = folder.shards.batch_size
    count = min(size, num_samples)
    missing = _missing(folder, num_samples, device, progress, overwrite, keep_shards)
    drawn = num_samples - sum(min(size, num_samples - k * size) for k in missing)
    with progress.task("sampling", num_samples, done=drawn) as task:
        for turn in range(0, len(missing), world_size()):
            mine = missing[turn + rank() : turn + rank() + 1]
            failure = None
            for k in mine:
                first = first_seed + k * size
                seeds = torch.arange(first, first + count, device=device)
                failure = _drawn(folder, k, seeds, conditions(seeds), draw_batch)
            _fail_together(failure, device)
            done = missing[turn : turn + world_size()]
            drawn += sum(min(size, num_samples - k * size) for k in done)
            task.advance(drawn)
            if stop() and drawn < num_samples:
                raise SamplingStopped(f"{drawn} of {num_samples} drawn; run the same command again")
    _fail_together(_incomplete(folder, num_samples) if rank() == 0 else None, device)


def _missing(
    folder: SetFolder,
    num_samples: int,
    device: torch.device,
    progress: Progress,
    overwrite: bool,
    keep_shards: bool,
) -> list[int]:
    """What process 0 finds missing, on all processes."""
    shards = -(-num_samples // folder.shards.batch_size)
    flags, failure = torch.zeros(shards, dtype=torch.int64), None
    if rank() == 0:
        try:
            if removed := folder.begin(num_samples, overwrite, keep_shards):
                names = ", ".join(path.name for path in removed)
                progress.say(f"{folder.path}: removed {names} of the other images that were here before")
            flags[folder.missing(num_samples)] = 1
        except SamplingError as error:
            failure = str(error)
        except OSError as error:
            failure = str(error)
    _fail_together(failure, device)
    (flags,) = from_first_process([flags.to(device)])
    return flags.nonzero().flatten().tolist()


def _drawn(folder: SetFolder, k: int, seeds: Tensor, cond: Condition, draw_batch: DrawBatch) -> str | None:
    """Draws and writes a shard; what went wrong, or None."""
    window = f"seeds {int(seeds[0])} .. {int(seeds[-1])}"
    try:
        images = draw_batch(seeds, cond)
        folder.shards.write(k, images.cpu(), None if cond.label is None else cond.label.cpu())
    except torch.OutOfMemoryError:
        return f"{window}: the device has not enough memory for batches of {len(seeds)}; give a smaller batch_size"
    except OSError as error:
        return str(error)
    except ValueError as error:  # not a number among the pixels
        return f"{window}: {error}"
    return None


def _incomplete(folder: SetFolder, num_samples: int) -> str | None:
    gone = folder.missing(num_samples)
    if not gone:
        return None
    return (
        f"{folder.shards.file(gone[0])} was drawn but is not there: `out` must lie on a disk that all processes share"
    )


def _fail_together(failure: str | None, device: torch.device) -> None:
    """A SamplingError on all processes if there is a failure on one."""
    (failures,) = sum_over_processes([torch.tensor(int(failure is not None), device=device)])
    if failures:
        raise SamplingError(first_text(failure))
