"""Inputs of the golden numbers in the shapes that difflab takes: networks that say what they are told, noise that was drawn before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from recipes import FakeModel, gmm_denoise
from torch import Tensor, nn

from difflab.networks.network import Network
from difflab.noise import Noise
from difflab.objectives.time_samplers import TimeDraw, TimeSampler
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, Label


class SuppliedNoise(Noise):
    """Noise that hands out given arrays by purpose, whatever the step."""

    def __init__(self, arrays: Mapping[str, np.ndarray | Tensor]):
        self.arrays = {name: torch.as_tensor(np.asarray(value)).double() for name, value in arrays.items()}

    @property
    def number(self) -> Tensor:
        return torch.arange(len(next(iter(self.arrays.values()))))

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        return self.arrays[purpose]

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        return self.arrays[purpose]

    def shared(self, divisor: int) -> Noise:
        raise NotImplementedError


class StepNoise(Noise):
    """The peers' noise of a loop of `steps` steps and `batch` images: call k = 0, 1 ..

    is RandomState(seed + k).randn; the last step of the chain comes first.
    """

    def __init__(self, seed: int, batch: int, steps: int):
        self.seed, self.batch, self.steps = seed, batch, steps

    @property
    def number(self) -> Tensor:
        return torch.arange(self.batch)

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        return torch.from_numpy(np.random.RandomState(self.seed + self.steps - step).randn(self.batch, *shape))

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        raise NotImplementedError

    def shared(self, divisor: int) -> Noise:
        raise NotImplementedError


class NoiseInOrder(Noise):
    """The peers' noise of a loop whose steps draw as often as they like: the k-th draw, k = 0, 1 .., is RandomState(seed + k).randn."""

    def __init__(self, seed: int, batch: int):
        self.seed, self.batch = seed, batch

    @property
    def number(self) -> Tensor:
        return torch.arange(self.batch)

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        self.seed += 1
        return torch.from_numpy(np.random.RandomState(self.seed - 1).randn(self.batch, *shape))

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        raise NotImplementedError

    def shared(self, divisor: int) -> Noise:
        raise NotImplementedError


class FixedOutput(Network):
    """A network whose output, a parameter, does not depend on anything."""

    image_size = 4

    def __init__(self, output: np.ndarray | Tensor, in_channels: int):
        super().__init__()
        self.output = nn.Parameter(torch.as_tensor(np.asarray(output)))
        self.in_channels, self.out_channels = in_channels, self.output.shape[1]

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        return self.output


class FakeNetwork(Network):
    """The recipes' FakeModel; `times` holds what it was told.

    table   if given, the model is told table[time] and not the time itself
    """

    in_channels, image_size = 3, 4

    def __init__(self, learn_sigma: bool, table: Sequence[float] | None = None):
        super().__init__()
        self.table = None if table is None else torch.tensor(table, dtype=torch.float64)
        self.model = FakeModel(learn_sigma)
        self.out_channels = 6 if learn_sigma else 3

    @property
    def times(self) -> list[np.ndarray]:
        return self.model.ts

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        label = Label.of(cond)
        number = None if label is None else label.number
        return self.model(x, time if self.table is None else self.table[time.long()], number)


class RecipeClassifier:
    """A classifier of ten classes, the gradient of whose log p(y | x) is the recipes' `cond_fn`, told the times that the peer tells.

    Its logits are integrals of cond_fn; beside an eleventh class all others are so unlikely that the normaliser has no gradient.

    Args:
        told: difflab's times -> the peer's.
    """

    def __init__(self, told: Callable[[Tensor], Tensor]):
        self.told = told

    def __call__(self, x_t: Tensor, t: Tensor, /) -> Tensor:
        time = self.told(t).float()[:, None, None, None]
        inner = (-0.25 * (x_t - 0.3) ** 2 * (1 + time / 1000)).sum((1, 2, 3))
        logits = inner[:, None] + 0.05 * torch.arange(10) * x_t.sum((1, 2, 3))[:, None]
        return torch.cat([logits, torch.full_like(logits[:, :1], 1e4)], dim=1)


class MixtureNetwork(Network):
    """The exact E[x_0 | x_t] of the recipes' Gaussian mixture, told the time of `schedule`: a network for the `X0` parameterization."""

    in_channels, out_channels, image_size = 3, 3, 4

    def __init__(self, schedule: NoiseSchedule):
        super().__init__()
        self.schedule = schedule

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        assert self.schedule.steps is not None
        alpha, sigma = self.schedule((time + 1) / self.schedule.steps)
        return gmm_denoise(x / alpha.to(x).reshape(-1, 1, 1, 1), sigma / alpha)


class FixedTimes(TimeSampler):
    """Gives the times that it was given."""

    is_loss_aware = False

    def __init__(self, t: Tensor):
        self.t = t.double()

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        return TimeDraw(self.t, torch.ones_like(self.t))

    def update(self, t: Tensor, loss: Tensor) -> None:
        return

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        return

    def check(self, schedule: NoiseSchedule) -> None:
        return
