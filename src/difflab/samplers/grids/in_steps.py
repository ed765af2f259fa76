"""Grids that are counted in the steps of a schedule, or in t."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.samplers.grids.grid import Grid, times_of
from difflab.schedules import NoiseSchedule


class QuadraticGrid(Grid):
    """Steps floor(q_n^2) for q_n evenly from 0 to sqrt(share T) (Song et al. 2021, DDIM, appendix D.2, with share = 0.8).

    Near zero several q_n can fall on one step, which is taken once: the chain then has fewer than `steps` steps. In continuous time, t_n =
    share (n / N)^2.

    Args:
        steps: How many.
        share: Where the grid begins, as a share of the schedule.
    """

    def __init__(self, steps: int, share: float = 0.8):
        if steps < 1 or not 0 < share <= 1:
            raise ValueError(f"a quadratic grid needs at least one step and a share in (0, 1], not {steps} and {share}")
        self.steps = steps
        self.share = share

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        if schedule.steps is None:
            return self.share * (torch.arange(self.steps + 1, dtype=torch.float64) / self.steps) ** 2
        if self.steps > schedule.steps:
            raise ValueError(
                f"cannot take {self.steps} sampling steps out of {schedule.steps}: set sampler.grid.steps to at most {schedule.steps}"
            )
        roots = np.linspace(0, np.sqrt(schedule.steps * self.share), self.steps)
        steps = {min(int(root**2), schedule.steps - 1) for root in roots}
        return times_of(sorted(steps), schedule)


class UniformGrid(Grid):
    """Times at equal distances, in the notations of Improved DDPM's `timestep_respacing`.

    - `250`: 250 steps from the first to the last of the schedule's.
    - `"ddim25"`: 25 steps with one integer stride, counted from the first (DDIM); not every number is possible.
    - `"10,20,30"`: so many steps in each of (here) three equal parts of the schedule, the cleanest first.

    In continuous time only a number has a meaning: t_n = n / N.

    Args:
        steps: How many, in one of these notations.
    """

    def __init__(self, steps: int | str):
        self.steps = str(steps)

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        if schedule.steps is None:
            count = _integer(self.steps, f"in continuous time ({type(schedule).__name__})")
            return torch.arange(count + 1, dtype=torch.float64) / count
        return times_of(respace(self.steps, schedule.steps), schedule)


def respace(steps: str, of: int) -> list[int]:
    """The rising 0-based steps, of a chain of `of` steps, that the notation names (Nichol and Dhariwal 2021, section 4).

    Within a section of n steps of which m are kept, the k-th is the first plus k (n - 1) / (m - 1), summed up in floating point and rounded
    half to even, as the published samplers did.

    Args:
        steps: A notation of `UniformGrid`.
        of: The chain's number of steps.

    Raises:
        ValueError: More steps are asked for than there are, or the notation is none.
    """
    if steps.startswith("ddim"):
        return _strided(_integer(steps.removeprefix("ddim"), "after 'ddim'"), of)
    counts = [_integer(part, "in a list of sections") for part in steps.split(",")]
    size, larger = divmod(of, len(counts))
    kept, start = [], 0
    for section, count in enumerate(counts):
        length = size + (section < larger)
        if count > length:
            raise ValueError(
                f"cannot take {count} sampling steps out of {length}"
                + (f" (section {section + 1} of {len(counts)} of the schedule's {of} steps)" if len(counts) > 1 else "")
                + f": set sampler.grid.steps to at most {length} or give the schedule more steps"
            )
        stride, position = (length - 1) / (count - 1) if count > 1 else 1, 0.0
        for _ in range(count):
            kept.append(start + round(position))
            position += stride
        start += length
    return kept


def _strided(count: int, of: int) -> list[int]:
    for stride in range(1, of + 1):
        if len(range(0, of, stride)) == count:
            return list(range(0, of, stride))
    possible = sorted({len(range(0, of, stride)) for stride in range(1, of + 1)}, key=lambda n: abs(n - count))[:4]
    raise ValueError(
        f"no integer stride takes {count} steps out of {of}; near numbers that work: {', '.join(map(str, sorted(possible)))}. "
        f"Or write {count} instead of ddim{count} for uneven strides"
    )


def _integer(text: str, where: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise ValueError(f"sampling steps {text!r} {where}: expected a positive number, like 250, ddim25 or 10,20,30")
    return count
