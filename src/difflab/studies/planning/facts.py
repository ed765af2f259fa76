"""What a row costs, before it is run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from difflab.ema import Averaging
from difflab.guidance import Guidance, chained
from difflab.networks import Network
from difflab.noise import Noise
from difflab.samplers import Sampler
from difflab.schedules import NoiseSchedule
from difflab.studies.planning.workload import counted
from difflab.types import Condition, Prediction

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Facts:
    """Derived from the resolved configuration; the network is counted on the meta device.

    parameters             trained
    training_flops         of an image, forward and backward; a multiplication and an addition are two
    forward_flops          of an image, one call of the network
    sampling_calls         of the network for one image (guidance included)
    batch                  images of an optimizer step, over all processes
    steps                  optimizer steps
    ema_half_life_images   EMA track -> images after which a weight counts half, at the end of training
    """

    parameters: int
    training_flops: float
    forward_flops: float
    sampling_calls: int
    batch: int
    steps: int
    ema_half_life_images: dict[str, float]

    @property
    def images(self) -> int:
        """Seen in training."""
        return self.batch * self.steps

    @property
    def total_flops(self) -> float:
        """Of the training."""
        return self.images * self.training_flops

    @property
    def sampling_flops(self) -> float:
        """Of a drawn image."""
        return self.sampling_calls * self.forward_flops

    def hours(self, flops_per_second: float | None, drawn: int = 0) -> float | None:
        """Of one processor that computes at this rate: training, and the images that are drawn; None without a rate.

        flops_per_second   as reached, not as advertised: that of a finished run is `rate(images_per_second)`
        """
        if flops_per_second is None:
            return None
        if flops_per_second <= 0:
            raise ValueError(f"flops_per_second = {flops_per_second}: expected a rate above 0")
        return (self.total_flops + drawn * self.sampling_flops) / flops_per_second / SECONDS_PER_HOUR

    def rate(self, images_per_second: float) -> float:
        """FLOPs per second of a training that sees so many images per second."""
        return images_per_second * self.training_flops


@dataclass(frozen=True)
class NetworkCount:
    """See `Facts`."""

    parameters: int
    training_flops: float
    forward_flops: float


def count_network(network: Network, classes: int) -> NetworkCount:
    """Of one image; on the meta device nothing is computed: `with torch.device("meta"): network = UNet(...)`.

    FLOPs are those of convolutions, linear layers and attention, what gradient checkpointing computes again included. A ValueError
    if the network cannot be counted so.

    classes   that the network is told; 0 for none
    """
    device = next(network.parameters()).device
    # a small image of one pixel is enlarged as any other; a level says that it is noised
    cond = Condition(
        label=torch.zeros(1, dtype=torch.long, device=device) if classes else None,
        image=torch.zeros(1, channels, 1, 1, device=device) if (channels := network.condition_channels) else None,
        level=torch.zeros(1, dtype=torch.float64, device=device) if network.condition_channels else None,
    )
    size, flops = network.image_size, FlopCounterMode(display=False)
    try:
        work = counted(network, cond, ())
        with torch.no_grad(), flops:
            x = torch.zeros(1, network.in_channels, size, size, dtype=next(network.parameters()).dtype, device=device)
            network(x, torch.zeros(1, device=device), cond)
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"{type(network).__name__} cannot be counted without being computed: its forward pass must not look at the values of tensors "
            f"({' '.join(str(error).split())[:200]})"
        ) from error
    return NetworkCount(work.parameters, work.training_flops, flops.get_total_flops())


def count_calls(sampler: Sampler, schedule: NoiseSchedule, guidances: Sequence[Guidance]) -> int:
    """Images that the network sees for one that is drawn: the sampler walks with a denoiser that only counts.

    guidances   around the denoiser, the first innermost
    """
    denoise = _Counting()
    sampler(chained(list(guidances), denoise), schedule, torch.zeros(1, 1, 1, 1), _LABEL, _Silence())
    return denoise.images


def half_life_images(averaging: Averaging, steps: int, batch: int) -> float:
    """batch log(1/2) / log(beta(steps)): images after which a weight counts half, if the decay stays what it is at the last step."""
    beta = averaging.beta(steps)
    return batch * math.log(0.5) / math.log(beta) if beta > 0 else 0.0


_LABEL = Condition(label=torch.zeros(1, dtype=torch.long))


class _Counting:
    """A denoiser that says nothing."""

    def __init__(self):
        self.images = 0

    def __call__(self, x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        self.images += len(x_t)
        return Prediction(torch.zeros_like(x_t), torch.zeros_like(x_t))


class _Silence:
    """The noise of one image, all zero: drawing it would take most of the walk."""

    number = torch.zeros(1, dtype=torch.long)

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        return torch.zeros(1, *shape, dtype=torch.float64)

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        return torch.zeros(1, *shape, dtype=torch.float64)

    def shared(self, divisor: int) -> Noise:
        return self
