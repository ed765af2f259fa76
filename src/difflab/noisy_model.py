"""What models of noised images have in common, and the parts that they hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from torch import Tensor, nn

from difflab.networks.network import Network
from difflab.noise_conditioning import NoiseConditioning
from difflab.parameterizations import Parameterization
from difflab.schedules import NoiseSchedule
from difflab.types import NORMAL_NOISE, AlphaSigma, Condition, Preconditioning, Prediction, sides

T = TypeVar("T")

AS_SCHEDULED: Mapping[str, Any] = MappingProxyType({})
"""No noise conditioning is chosen: the network is told what schedule and parameterization say."""


def held(part: object, kind: type[T]) -> Iterator[tuple[str, T]]:
    """All objects of a kind that a part holds, or that the parts which it holds do, each with its path.

    Modules of other kinds are not searched: their weights are their own.

    Args:
        part: What is searched: an object, a mapping or a sequence.
        kind: The class looked for.

    Yields:
        The dotted path within the part, and the object.
    """
    yield from _held(part, kind, "", set())


def check_shares_schedule(where: str, part: object, schedule: NoiseSchedule) -> None:
    """Checks that a part of a model whose schedule learns does not hold another one that learns.

    Args:
        where: The part's name, for the message.
        part: What may hold a schedule.
        schedule: The model's own.

    Raises:
        ValueError: It holds a copy, whose weights would stay as they began.
    """
    for path, other in held(part, NoiseSchedule):
        if other is not schedule and not other.is_fixed:
            raise ValueError(
                f"{where}{path and '.'}{path} is a copy of a schedule that learns, and only the model's own is trained: build the part "
                "with the model's schedule itself, or choose one that does without"
            )


def _held(part: object, kind: type[T], path: str, seen: set[int]) -> Iterator[tuple[str, T]]:
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, kind):
        yield path, part
    elif isinstance(part, Mapping):
        yield from _within(part.items(), kind, path, seen)
    elif isinstance(part, list | tuple):
        yield from _within(enumerate(part), kind, path, seen)
    elif not isinstance(part, nn.Module | Tensor | type | ModuleType):
        yield from _within(getattr(part, "__dict__", {}).items(), kind, path, seen)


def _within(
    items: Iterable[tuple[object, object]], kind: type[T], path: str, seen: set[int]
) -> Iterator[tuple[str, T]]:
    for name, value in items:
        yield from _held(value, kind, f"{path}.{name}" if path else str(name), seen)


class NoisyModel(nn.Module, ABC):
    """Holds the weights of what is trained on x_t: `Denoiser`, `NoisyClassifier`. A subclass says what the network's output means.

    Args:
        network: F(c_in x_t, c_noise, cond).
        schedule: t -> (alpha, sigma); one that is a module learns with the network.
        parameterization: How the network is fed (c_in, c_noise), and how a denoiser's is read.
        noise_conditioning: What number the network is told in place of c_noise; nothing for c_noise itself.

    Attributes:
        num_classes: Classes that it tells apart; 0 for none.
    """

    num_classes: int = 0

    def __init__(
        self,
        network: Network,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        noise_conditioning: NoiseConditioning | Mapping[str, Any] = AS_SCHEDULED,
    ):
        super().__init__()
        check_shares_schedule("parameterization", parameterization, schedule)
        if not schedule.is_fixed and not isinstance(schedule, nn.Module):
            raise ValueError(
                f"{type(schedule).__name__} holds a schedule that learns, whose weights the model would not find: derive it from "
                "torch.nn.Module as well"
            )
        self.network = network
        self.schedule = schedule
        self.parameterization = parameterization
        self.noise_conditioning = noise_conditioning if isinstance(noise_conditioning, NoiseConditioning) else None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape (C, *size) of what is modelled: (C, H, W) of images."""
        return self.network.in_channels, *sides(self.network.image_size)

    def coefficients(self, t: Tensor) -> tuple[AlphaSigma, Preconditioning]:
        """The scales (alpha, sigma) at t, [B], and the coefficients around the network."""
        level = self.schedule(t)
        time = self.schedule.network_time(t)
        c = self.parameterization(t, level.alpha, level.sigma, time)
        if self.noise_conditioning is not None:
            c = c._replace(c_noise=self.noise_conditioning(t, level, time))
        return level, c


class DenoisingModel(NoisyModel):
    """One with which samplers walk: (x_t, t, cond) -> Prediction, a `DenoiseFn`.

    `Denoiser` is that of Gaussian noise. Another process has another: its objective, sampler and likelihood know what else to ask of it.

    Attributes:
        process: What is done to the data, in a word; a sampler of another process is refused.
    """

    process: str = NORMAL_NOISE

    @abstractmethod
    def forward(self, x_t: Tensor, t: Tensor, cond: Condition) -> Prediction:
        """What is predicted of x_0.

        Args:
            x_t: Noised images, [B, C, *size].
            t: Their times, [B].
            cond: What they are told.
        """
