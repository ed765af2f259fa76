"""What a network costs, counted and not estimated: parameters, FLOPs, activations, calls while an image is sampled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from difflab.ema import Averaging
from difflab.guidance import Guidance, chained
from difflab.networks import Network
from difflab.noise import Noise
from difflab.samplers import Sampler
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, GivenImage, Label, Prediction, sides


@dataclass(frozen=True)
class Workload:
    """A network in training.

    Attributes:
        parameters: How many are trained.
        training_flops: FLOPs of an image, forward and backward; a multiplication and an addition are two.
        activation_bytes: Bytes of an image that are kept from the forward to the backward pass.
        operations: Operations that the host starts for a forward and backward pass, whatever the number of images.
        blocks: Pieces in which weights come together under FSDP and ZeRO-3.
        largest_block: Weights of the largest of them.
        averages: EMA tracks.
    """

    parameters: int
    training_flops: float
    activation_bytes: float
    operations: int
    blocks: int
    largest_block: int
    averages: int = 1


def counted(network: Network, cond: Condition, blocks: Sequence[nn.Module], averages: int = 1) -> Workload:
    """One forward and backward pass of one image, in the network's own precision.

    A network on the meta device is counted without being computed: `with torch.device("meta"): network = UNet(...)`.

    Args:
        network: The network.
        cond: The condition of that one image.
        blocks: The modules whose weights come together (difflab.training.sharding.fsdp.repeated_blocks).
        averages: EMA tracks.
    """
    weight = next(network.parameters())
    size = sides(network.image_size)
    x = torch.zeros(1, network.in_channels, *size, dtype=weight.dtype, device=weight.device)
    parameters = [p for p in network.parameters() if p.requires_grad]
    kept = _Kept(parameters)
    flops, operations = FlopCounterMode(display=False), _Operations()
    with flops, operations:
        with torch.autograd.graph.saved_tensors_hooks(kept.keep, lambda tensor: tensor):
            out = network(x, torch.zeros(1, device=weight.device), cond)
        out.sum().backward()
    network.zero_grad(set_to_none=True)
    count = sum(p.numel() for p in parameters)
    sizes = [sum(p.numel() for p in block.parameters() if p.requires_grad) for block in blocks]
    rest = count - sum(sizes)
    return Workload(
        count, flops.get_total_flops(), kept.bytes, operations.count, len(sizes) + 1, max([rest, *sizes]), averages
    )


class _Kept:
    """Bytes of the different storages that autograd keeps, without those of the weights."""

    def __init__(self, parameters: Sequence[Tensor]):
        self._seen: dict[int, torch.UntypedStorage] = {}  # holding them keeps their addresses from being used again
        self._weights = {p.untyped_storage()._cdata for p in parameters}

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights:
            self._seen[storage._cdata] = storage
        return tensor

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self._seen.values())


_FREE = ("view", "reshape", "expand", "permute", "transpose", "detach", "slice", "select", "split", "unsqueeze", "t.")
"""Operations that touch no element."""


class _Operations(TorchDispatchMode):
    """Counts operations that compute."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.__name__
        self.count += not name.startswith(_FREE)
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class NetworkCount:
    """Parameters and FLOPs of a network, as in `Facts`."""

    parameters: int
    training_flops: float
    forward_flops: float


def count_network(network: Network, classes: int) -> NetworkCount:
    """Counts one image; on the meta device nothing is computed: `with torch.device("meta"): network = UNet(...)`.

    FLOPs are those of convolutions, linear layers and attention, what gradient checkpointing computes again included. A ValueError
    if the network cannot be counted so.

    Args:
        network: The network, best on the meta device.
        classes: Classes that it is conditioned on; 0 for none.
    """
    device = next(network.parameters()).device
    channels, level = network.condition_channels, torch.zeros(1, dtype=torch.float64, device=device)
    # a small image of one pixel is enlarged as any other; a level says that it is noised
    cond = Condition(
        label=Label(torch.zeros(1, dtype=torch.long, device=device)) if classes else None,
        image=GivenImage(torch.zeros(1, channels, 1, 1, device=device), level) if channels else None,
    )
    size, flops = sides(network.image_size), FlopCounterMode(display=False)
    try:
        work = counted(network, cond, ())
        with torch.no_grad(), flops:
            x = torch.zeros(1, network.in_channels, *size, dtype=next(network.parameters()).dtype, device=device)
            network(x, torch.zeros(1, device=device), cond)
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"{type(network).__name__} cannot be counted without being computed: its forward pass must not look at the values of tensors "
            f"({' '.join(str(error).split())[:200]})"
        ) from error
    return NetworkCount(work.parameters, work.training_flops, flops.get_total_flops())


def count_calls(sampler: Sampler, schedule: NoiseSchedule, guidances: Sequence[Guidance]) -> int:
    """Images that the network sees for one that is sampled: the sampler walks with a denoiser that only counts.

    Args:
        sampler: The sampler.
        schedule: The model's noise schedule.
        guidances: Guidances around the denoiser, the first innermost.
    """
    denoise = _Counting()
    sampler(chained(list(guidances), denoise), schedule, torch.zeros(1, 1, 1, 1), _LABEL, _Silence())
    return denoise.images


def half_life_images(averaging: Averaging, steps: int, batch: int) -> float:
    """batch log(1/2) / log(beta(steps)): images after which a weight counts half, if the decay stays what it is at the last step."""
    beta = averaging.beta(steps)
    return batch * math.log(0.5) / math.log(beta) if beta > 0 else 0.0


_LABEL = Condition(label=Label(torch.zeros(1, dtype=torch.long)))


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
