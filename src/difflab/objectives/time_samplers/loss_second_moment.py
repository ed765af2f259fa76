"""Importance sampling of times by the size of their losses."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.objectives.time_samplers.time_sampler import TimeDraw, TimeSampler
from difflab.schedules import NoiseSchedule


class LossSecondMoment(TimeSampler):
    """p_t proportional to sqrt(E[L_t^2]) over the last losses of step t, mixed with a little of the uniform distribution.

    Nichol and Dhariwal 2021, section 3.3: the distribution that minimises the variance of the estimated bound. Until every step has
    a full history, times are uniform. The weight is 1 / (T p_t). The history is where the losses are: a copy to the host in every step
    would make it wait for a GPU.

    steps           T of the (discrete) schedule
    history         how many losses are kept per step
    uniform_share   probability of a uniform draw
    """

    is_loss_aware = True

    def __init__(self, steps: int, history: int = 10, uniform_share: float = 0.001):
        if not 0 <= uniform_share <= 1:
            raise ValueError(f"uniform_share = {uniform_share} is not a probability")
        if steps < 1 or history < 1:
            raise ValueError(f"a history needs at least one step and one loss per step, not {steps} and {history}")
        self.steps = steps
        self.uniform_share = uniform_share
        self.losses = torch.zeros(steps, history, dtype=torch.float64)
        self.counts = torch.zeros(steps, dtype=torch.int64)

    def probabilities(self) -> Float64[Tensor, " n"]:
        """p over the T steps."""
        full = (self.counts >= self.losses.shape[1]).all()
        size = (self.losses**2).mean(dim=1).sqrt()
        p = (1 - self.uniform_share) * size / size.sum() + self.uniform_share / self.steps
        return torch.where(full, p, 1 / self.steps)

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        u = noise.uniform("time")
        self._move(u.device)
        p = self.probabilities()
        cumulative = torch.cumsum(p, 0)
        step = torch.searchsorted(cumulative / cumulative[-1], u, right=True).clamp(max=self.steps - 1)
        return TimeDraw((step + 1).double() / self.steps, 1 / (self.steps * p[step]))

    def update(self, t: Float64[Tensor, " n"], loss: Float64[Tensor, " n"]) -> None:
        self._move(t.device)
        kept = self.losses.shape[1]
        step = (t * self.steps).round().long() - 1
        new = torch.zeros_like(self.counts).index_add_(0, step, torch.ones_like(step))
        forgotten = (self.counts + new - kept).clamp(min=0)
        columns = torch.arange(kept, device=t.device) + forgotten[:, None]
        older = self.losses.gather(1, columns.clamp(max=kept - 1))
        order = torch.argsort(step, stable=True)
        row = step[order]
        place = torch.arange(len(row), device=t.device) - torch.searchsorted(row, row)  # among the new ones of its step
        # where more come than are kept, the first of them go into a column that is thrown away
        column = (self.counts[row] + place - forgotten[row]).clamp(min=-1) + 1
        table = torch.cat([torch.zeros_like(older[:, :1]), older], dim=1)
        table[row, column] = loss[order]
        self.losses, self.counts = table[:, 1:].clone(), self.counts + new - forgotten

    def state_dict(self) -> dict[str, Tensor]:
        return {"losses": self.losses.cpu(), "counts": self.counts.cpu()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if state["losses"].shape != self.losses.shape:
            raise ValueError(
                f"the time sampler keeps a history of {self.steps} steps and {self.losses.shape[1]} losses each, but that of the "
                f"checkpoint is of {state['losses'].shape[0]} and {state['losses'].shape[1]}"
            )
        self.losses, self.counts = state["losses"].clone(), state["counts"].clone()

    def check(self, schedule: NoiseSchedule) -> None:
        if schedule.steps != self.steps:
            raise ValueError(
                f"the loss-second-moment time sampler keeps a history of {self.steps} steps, but the schedule has "
                f"{schedule.steps or 'no steps (continuous time)'}: set its steps to the schedule's, or use another time sampler"
            )

    def _move(self, device: torch.device) -> None:
        self.losses, self.counts = self.losses.to(device), self.counts.to(device)
