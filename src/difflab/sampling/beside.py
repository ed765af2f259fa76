"""What sample.py makes beside a set of images, of how they come about: trajectories and films.

Neither changes the set, nor is part of what it depends on. The set may be there already.
"""

from __future__ import annotations

from pathlib import Path

import torch

from difflab.config.build import build
from difflab.distributed import Processes
from difflab.files import write_bytes
from difflab.pictures import gif
from difflab.runtime.progress import Progress
from difflab.sampling.animations import Animation, pictures
from difflab.sampling.draw import Drawn
from difflab.sampling.drawer import Drawer
from difflab.sampling.job import SamplingJob
from difflab.sampling.sample_set import BESIDE, SamplingError
from difflab.sampling.trajectories import check_trajectory, trajectories_of


class Beside:
    """What a command asks for.

    Args:
        job: That of the set.

    Raises:
        ValueError: There is no such thing of the model; one line says why, before anything is drawn.
    """

    def __init__(self, job: SamplingJob):
        self.job = job
        node = job.options.animate
        self.animation: Animation | None = None if node is None else build({"animate": node})["animate"]
        check_trajectory(job)
        if self.animation is not None:
            self.animation.check(job)

    @property
    def is_asked_for(self) -> bool:
        """Whether there is anything to be made."""
        return self.job.options.trajectory > 0 or self.animation is not None

    def write(self, processes: Processes, drawn: Drawn | None) -> dict[str, Path]:
        """Makes it; all processes call it, and the first one draws.

        Args:
            processes: They run already where the set was drawn now.
            drawn: The set, of which the trajectory is there; None for one that was complete before.

        Returns:
            Name -> file, on the first process.

        Raises:
            SamplingError: It cannot be made.
        """
        if drawn is None:
            processes.start()
        if processes.rank != 0:
            return {}
        try:
            found = trajectories_of(self.job, processes.device) if drawn is None else dict(drawn.trajectory)
            return found | ({} if self.animation is None else self._film(processes.device, self.animation))
        except OSError as error:
            raise SamplingError(str(error)) from error

    def _film(self, device: torch.device, animation: Animation) -> dict[str, Path]:
        job, images = self.job, animation.frames * len(animation.seeds(self.job))
        file = job.folder.path / animation.file
        with job.folder.taken(), Progress(shown=True).task(animation.file, images) as task:
            try:
                frames = animation.draw(Drawer(job, device), task.advance)
            except torch.OutOfMemoryError as error:
                remedy = "give a smaller batch_size, or a smaller animate.images"
                raise SamplingError(f"{file.name}: the device has not enough memory: {remedy}") from error
            write_bytes(file, gif(pictures(job.model.space, frames), animation.closed))
            job.folder.record(f"{BESIDE}{file.name}", file)
        return {file.name: file}
