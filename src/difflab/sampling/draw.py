"""Many images from consecutive seeds, over any number of processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torchvision.utils import save_image

from difflab.distributed import Processes
from difflab.distributed.group import first_text, from_first_process, rank, sum_over_processes, world_size
from difflab.distributed.meeting import meeting
from difflab.distributed.world import TIMEOUT
from difflab.files import atomic_file, write_text
from difflab.runs.saved_checkpoints import own_code
from difflab.runtime import Interruption
from difflab.runtime.progress import Progress
from difflab.runtime.signals import DRAWING, KEEPING, signals
from difflab.sampling.drawer import Drawer
from difflab.sampling.prompts import Conditions
from difflab.sampling.sample_set import LIST, SampleSet, SamplingError, SamplingStopped
from difflab.sampling.shards import Shards
from difflab.sampling.trajectories import recorder_of, write_trajectory
from difflab.types import Condition, Label, Readable

if TYPE_CHECKING:
    from difflab.sampling.formats import Format
    from difflab.sampling.job import SamplingJob

_MARGIN = 120.0
"""Seconds before the end of a SLURM allocation at which drawing stops."""

DrawBatch = Callable[[Int[Tensor, " b"], Condition], Shaped[Tensor, "b c *size"]]
"""(seeds, condition) -> images as they are stored: uint8, or float32 where they are no pixels."""


def draw_missing(
    folder: SampleSet,
    num_samples: int,
    first_seed: int,
    conditions: Conditions,
    draw_batch: DrawBatch,
    device: torch.device,
    stop: Callable[[], bool],
    progress: Progress,
    overwrite: bool = False,
    keep_shards: bool = True,
) -> float | None:
    """Draws the shards that are not there yet.

    All processes must call it; process 0 holds the folder until it has called `folder.end()`.

    Args:
        folder: The set.
        num_samples: Images of the whole set.
        first_seed: Seed of the first image.
        conditions: What images are drawn for.
        draw_batch: Draws the images of some seeds.
        device: Where seeds lie.
        stop: Whether to stop now; all processes ask after the same turn and get the same answer.
        progress: Shows how far it is.
        overwrite: Throws away other images that are there.
        keep_shards: False if `folder.drop_shards()` may remove the shards later.

    Returns:
        Seconds per image, writing included: the median over the shards that this process has drawn; None if it had none to draw.

    Raises:
        SamplingStopped: It was interrupted.
        SamplingError: On every process, if one of them could not go on.
    """
    size = folder.shards.batch_size
    count, took = min(size, num_samples), list[float]()
    missing = _missing(folder, num_samples, device, progress, overwrite, keep_shards)
    drawn = num_samples - sum(min(size, num_samples - k * size) for k in missing)
    with progress.task("sampling", num_samples, done=drawn) as task:
        for turn in range(0, len(missing), world_size()):
            mine = missing[turn + rank() : turn + rank() + 1]
            failure = None
            for k in mine:
                first = first_seed + k * size
                seeds, begun = torch.arange(first, first + count, device=device), time.perf_counter()
                failure = _drawn(folder, k, seeds, conditions(seeds), draw_batch)
                took.append((time.perf_counter() - begun) / count)
            _fail_together(failure, device)
            done = missing[turn : turn + world_size()]
            drawn += sum(min(size, num_samples - k * size) for k in done)
            task.advance(drawn)
            if stop() and drawn < num_samples:
                raise SamplingStopped(f"{drawn} of {num_samples} drawn; run the same command again")
    _fail_together(_incomplete(folder, num_samples) if rank() == 0 else None, device)
    return median(took) if took else None


def _missing(
    folder: SampleSet,
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


def _drawn(folder: SampleSet, k: int, seeds: Tensor, cond: Condition, draw_batch: DrawBatch) -> str | None:
    """Draws and writes a shard; what went wrong, or None."""
    window = f"seeds {int(seeds[0])} .. {int(seeds[-1])}"
    try:
        images, label = draw_batch(seeds, cond), Label.of(cond)
        texts = {name: part.texts() for name, part in cond.items() if isinstance(part, Readable)}
        folder.shards.write(k, images.cpu(), None if label is None else label.number.cpu(), texts)
    except torch.OutOfMemoryError:
        return f"{window}: the device has not enough memory for batches of {len(seeds)}; give a smaller batch_size"
    except OSError as error:
        return str(error)
    except ValueError as error:  # not a number among the pixels
        return f"{window}: {error}"
    return None


def _incomplete(folder: SampleSet, num_samples: int) -> str | None:
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


@dataclass(frozen=True)
class Drawn:
    """A set of images on the disk.

    Attributes:
        shards: The images.
        grid: a picture of the first ones.
        folder: Is held by this command until folder.end().
        trajectory: Name -> file of how the first images emerged; nothing where that was not asked for.
        seconds_per_image: That drawing took, of a cascade its last stage; None if all were there.
    """

    shards: Shards
    grid: Path
    folder: SampleSet
    trajectory: Mapping[str, Path]
    seconds_per_image: float | None = None


def draw_job(job: SamplingJob, processes: Processes) -> Drawn:
    """Starts the processes and draws, the stages of a cascade one after the other.

    SamplingStopped if it was interrupted, SamplingError if it cannot go on.
    """
    options, folder = job.options, job.folder
    progress = Progress(shown=processes.rank == 0)
    if job.before is not None:
        folder.hold(draw_job(job.before, processes).folder)
        job.before.leave()
        progress.say(f"stage {len(job.before.stages)}: upsampled by {job.model.file}")
    meeting().roll_call({"model or settings": folder.plan.fingerprint, "difflab": own_code()})
    meeting().adjourn()
    processes.start()
    recorder = recorder_of(job) if job.options.trajectory and processes.rank == 0 else None
    interruption = Interruption("", _MARGIN, TIMEOUT.total_seconds() / 60)
    interruption.connect()
    try:
        with signals.held():
            signals.enter(DRAWING)
            seconds = draw_missing(
                folder,
                job.count,
                options.first_seed,
                job.conditions,
                Drawer(job, processes.device, recorder),
                processes.device,
                interruption.requested,
                progress,
                options.overwrite,
                keep_shards=options.keep_shards or not options.format,
            )
        signals.enter(KEEPING)
    except BaseException:
        folder.end()
        raise
    shards = Shards(folder.shards, job.count, options.first_seed)
    grid, trajectory = folder.path / "grid.png", {}
    if processes.rank == 0:
        first = shards.images(range(min(options.grid, len(shards))))
        shown = job.conditions.shown(first, options.first_seed + torch.arange(len(first)))
        try:
            with atomic_file(grid) as path:
                save_image(job.model.space.picture(shown, job.conditions.columns), path, format="png")
            for name, lines in shards.texts().items():
                file = folder.path / f"{name}{LIST}"
                write_text(file, "".join(f"{' '.join(line.split())}\n" for line in lines))
                folder.record(file.name, file)
            if recorder is not None:
                trajectory = write_trajectory(job, processes.device, recorder)
        except BaseException as error:
            folder.end()
            if isinstance(error, OSError):
                raise SamplingError(str(error)) from error
            raise
    return Drawn(shards, grid, folder, trajectory, seconds)


def write_drawn(job: SamplingJob, drawn: Drawn, formats: Mapping[str, Format]) -> dict[str, Path]:
    """Writes what was drawn in all formats and gives the folder back; one process does it.

    Args:
        job: Of what was drawn.
        drawn: The images.
        formats: Name -> form in which they are written.

    Returns:
        Name -> file or folder that was written, the grid among them.

    Raises:
        SamplingError: There is no room, or a file cannot be written; the images stay.
    """
    try:
        written = {}
        for name, form in formats.items():
            written[name] = form.write(drawn.shards, drawn.folder.path)
            # at once: writing many images takes long enough to be killed
            drawn.folder.record(name, written[name])
        written["grid"] = drawn.grid
        drawn.folder.finish(written, job.request, drawn.shards.fingerprint)
        drawn.folder.drop_shards()
    except OSError as error:
        raise SamplingError(f"the images are drawn, but {error}") from error
    finally:
        drawn.folder.end()
    return written
