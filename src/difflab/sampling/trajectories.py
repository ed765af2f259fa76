"""sample.py trajectory=10: how the first images of a set emerge from noise, beside the set.

trajectory.png   a pair of rows for each image: x_t at 10 moments of the walk, and below it the x_0 that the denoiser saw there
trajectory.gif   the whole walk
trajectory.npz   of the moments: t [K], x_t and x0 float32 [K, N, C, *size] in the model's own units, seeds [N]; the last x0 is the sample

Image i is drawn from the seed first_seed + i, as ever, so files of other samplers, guidances and models from the same seeds show the same
noise. The walk is seen while the first batch is drawn, which costs nothing; of a set that is there already that batch is drawn once more,
to the same last bit. Each stage of a cascade has files of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from difflab.files import atomic_file, write_bytes
from difflab.pictures import gif
from difflab.samplers import Recorder
from difflab.sampling.drawer import Drawer
from difflab.sampling.job import SamplingJob
from difflab.sampling.sample_set import BESIDE
from difflab.sampling.strips import film, strip, tiles

IMAGES, FRAMES = 8, 24
"""Images that are shown, and frames of the film at least, of a walk that has as many steps."""


def check_trajectory(job: SamplingJob) -> None:
    """Raises a ValueError if the command asks for a trajectory that there is not; one line says why, before anything is drawn."""
    asked = job.options.trajectory
    if asked == 1:
        raise ValueError("trajectory=1: noise and image are two moments already: give at least 2, or 0 for none")
    for stage in job.stages if asked else ():
        check_walks(stage, f"trajectory={asked}")


def check_walks(job: SamplingJob, asked: str) -> None:
    """Raises a ValueError if a job's sampler has nothing to show.

    Args:
        job: Of the images.
        asked: The words of the command.
    """
    if not job.sampler.wanders(job.model.denoiser.schedule):
        raise ValueError(
            f"{asked}: this model draws in one step, there is nothing between noise and image: leave {asked.partition('=')[0]} out"
        )


def recorder_of(job: SamplingJob) -> Recorder:
    """What looks on while the first batch of a job is drawn."""
    shown = max(IMAGES, job.model.space.crowd)
    return Recorder(min(shown, len(job.first_seeds)), max(2 * job.options.trajectory, FRAMES))


def write_trajectory(job: SamplingJob, device: torch.device, recorder: Recorder) -> dict[str, Path]:
    """Writes the files of a job whose images are there; one process does it.

    Args:
        job: The job.
        device: Where its first batch is drawn again if the recorder has not seen it.
        recorder: What `recorder_of` gave.

    Returns:
        Name -> file.

    Raises:
        OSError: They cannot be written.
    """
    if not recorder.is_done:
        seeds = job.first_seeds.to(device)
        Drawer(job, device, recorder)(seeds, job.conditions(seeds))
    seen, folder = recorder.moments, job.folder
    chosen = seen.spread(job.options.trajectory)
    seeds = job.first_seeds[: seen.x_t.shape[1]]
    schedule, space = job.model.denoiser.schedule, job.model.space
    names = [f"seed {seed}" for seed in seeds.tolist()]
    files = {f"trajectory.{kind}": folder.path / f"trajectory.{kind}" for kind in ("png", "gif", "npz")}
    with atomic_file(files["trajectory.png"]) as aside:
        strip(tiles(chosen, schedule, space, names)).save(aside, format="png")
    write_bytes(files["trajectory.gif"], gif(film(tiles(seen, schedule, space, names))))
    x_t, x0 = (value.float().numpy() for value in (chosen.x_t, chosen.x0))
    with atomic_file(files["trajectory.npz"]) as aside, aside.open("wb") as file:
        np.savez(file, t=chosen.t.numpy(), x_t=x_t, x0=x0, seeds=seeds.numpy())
    for name, file in files.items():
        folder.record(f"{BESIDE}{name}", file)
    return files


def trajectories_of(job: SamplingJob, device: torch.device) -> dict[str, Path]:
    """The files, if any are asked for, of a set that is complete, and of the stages before it; one process writes them.

    Raises:
        OSError: They cannot be written.
    """
    written: dict[str, Path] = {}
    for stage in job.stages if job.options.trajectory else ():
        if stage.before is not None:
            stage.before.leave()
        with stage.folder.taken():
            written = write_trajectory(stage, device, recorder_of(stage))
    return written
