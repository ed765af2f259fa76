"""Diffusion of discrete states (Austin et al. 2021, arXiv 2107.03006): grey levels that are replaced by others, or masked.

A process that is not Gaussian: its states are whole numbers, its model says how probable each level is, and its sampler draws its own
beginning. Of a schedule it needs one number, a = alpha^2: how probable it is that a pixel has not been touched.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from difflab.likelihoods import Bits, Likelihood
from difflab.networks import Network
from difflab.noise import Noise
from difflab.noisy_model import DenoisingModel
from difflab.objectives import BoundStep, Objective
from difflab.objectives.time_samplers import TimeSampler
from difflab.parameterizations import Parameterization
from difflab.samplers import Prior, Sampler, SamplerState, Step, Walk
from difflab.samplers.grids import Grid
from difflab.schedules import Chain, NoiseSchedule, own_chain
from difflab.types import AlphaSigma, Condition, Losses, Prediction


class Linear(NoiseSchedule):
    """a = 1 - t in T steps: a share 1 / T of the pixels is touched in each (appendix A.2, the mutual-information schedule of masking)."""

    def __init__(self, steps: int):
        self.steps = steps

    def __call__(self, t: Tensor) -> AlphaSigma:
        return AlphaSigma((1 - t.double()).clamp(min=0).sqrt(), t.double().sqrt())

    def network_time(self, t: Tensor) -> Tensor:
        return 1000 * t

    def time(self, u: Tensor) -> Tensor:
        return (torch.floor(u * self.steps) + 1).clamp(max=self.steps) / self.steps


class Kernel(ABC):
    """Q = a I + (1 - a) 1 m^T: what a touched pixel becomes is drawn from m.

    Args:
        levels: Grey levels of the data.
    """

    states: int

    def __init__(self, levels: int):
        self.levels = levels

    @property
    @abstractmethod
    def m(self) -> Tensor:
        """The distribution [states], float64, to which everything tends."""

    def spread(self, p: Tensor, a: Tensor) -> Tensor:
        """What weights p [B, C, H, W, states] of states become after a step that leaves a share a."""
        a = a.reshape(-1, 1, 1, 1, 1).to(p)
        return a * p + (1 - a) * self.m.to(p) * p.sum(-1, keepdim=True)

    def reached(self, x_t: Tensor, a: Tensor) -> Tensor:
        """q(x_t | x_s) for every state x_s, [B, C, H, W, states]."""
        a = a.reshape(-1, 1, 1, 1, 1).to(torch.float64)
        return a * F.one_hot(x_t, self.states) + (1 - a) * self.m.to(x_t.device)[x_t][..., None]

    def posterior(self, x_t: Tensor, weights: Tensor, a_s: Tensor, a_t: Tensor) -> Tensor:
        """The distribution of x_s given x_t, for weights of x_0: of a sure x_0 eq. 3, of what a network says eq. 4."""
        joint = self.reached(x_t, a_t / a_s) * self.spread(weights.double(), a_s)
        return joint / joint.sum(-1, keepdim=True)

    def draw(self, p: Tensor, u: Tensor) -> Tensor:
        """States [B, C, H, W] of distributions p, by uniform numbers u."""
        return (p.cumsum(-1)[..., :-1] < u[..., None].to(p)).sum(-1)

    def of_images(self, x_0: Tensor) -> Tensor:
        """Grey levels 0 .. levels - 1 of images in [-1, 1]."""
        return ((x_0 + 1) * (self.levels / 2)).long().clamp(0, self.levels - 1)

    def images(self, states: Tensor) -> Tensor:
        """The middle of each grey level; 0 of a mask."""
        values = (2 * states.float() + 1) / self.levels - 1
        return torch.where(states < self.levels, values, torch.zeros_like(values))


class Uniform(Kernel):
    """A touched pixel gets any level."""

    def __init__(self, levels: int):
        super().__init__(levels)
        self.states = levels

    @property
    def m(self) -> Tensor:
        return torch.full((self.states,), 1 / self.states, dtype=torch.float64)


class Absorbing(Kernel):
    """A touched pixel is masked, and stays so."""

    def __init__(self, levels: int):
        super().__init__(levels)
        self.states = levels + 1

    @property
    def m(self) -> Tensor:
        return F.one_hot(torch.tensor(self.levels), self.states).double()


@dataclass(frozen=True)
class Levels(Prediction):
    """E[x_0 | x_t], and the weights of the grey levels of x_0.

    Attributes:
        p: [B, C, H, W, states]; times q(x_t | x_0) they are the distribution of x_0 given x_t.
    """

    p: Tensor | None = None


class Categorical(DenoisingModel):
    """The weights of the grey levels of every pixel, by a network with a channel for each."""

    def __init__(
        self,
        network: Network,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        variance: Any,
        kernel: Kernel,
        noise_conditioning: Mapping[str, Any],
    ):
        super().__init__(network, schedule, parameterization, noise_conditioning)
        if network.out_channels != network.in_channels * kernel.levels:
            needed = network.in_channels * kernel.levels
            raise ValueError(f"{kernel.levels} grey levels of each channel need network.out_channels={needed}")
        self.kernel, self.variance = kernel, variance

    def logits(self, x_t: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """[B, C, H, W, levels]."""
        x = self.kernel.images(x_t)
        out = self.network(x, self.coefficients(t)[1].c_noise, cond).float()
        return out.unflatten(1, (x.shape[1], -1)).movedim(2, -1)

    def forward(self, x_t: Tensor, t: Tensor, cond: Condition) -> Levels:
        weights = F.pad(self.logits(x_t, t, cond).softmax(-1), (0, self.kernel.states - self.kernel.levels))
        of_x0 = weights * self.kernel.reached(x_t, self.schedule(t).alpha ** 2).to(weights)
        of_x0 = of_x0 / of_x0.sum(-1, keepdim=True).clamp(min=1e-30)
        centres = self.kernel.images(torch.arange(self.kernel.states, device=weights.device))
        return Levels(of_x0 @ centres, None, weights)


def term(kernel: Kernel, x_0: Tensor, x_t: Tensor, p: Tensor, chain: Chain, i: Tensor) -> Tensor:
    """KL(q(x_s | x_t, x_0) || p(x_s | x_t)) in bits per dimension, [B]; -log2 p(x_0 | x_1) for the last step, whose posterior is sure."""
    a_s, a_t = chain.level.alpha[i - 1] ** 2, chain.level.alpha[i] ** 2
    true = kernel.posterior(x_t, F.one_hot(x_0, kernel.states).double(), a_s, a_t)
    ours = kernel.posterior(x_t, p, a_s, a_t)
    kl = torch.where(true > 0, true * (true.clamp(min=1e-30).log() - ours.clamp(min=1e-30).log()), 0.0)
    return kl.sum(-1).flatten(1).mean(1) / math.log(2)


def noised(kernel: Kernel, x_0: Tensor, a: Tensor, u: Tensor) -> Tensor:
    """x_t ~ q(x_t | x_0)."""
    return kernel.draw(kernel.spread(F.one_hot(x_0, kernel.states).double(), a), u)


class Bound(Objective[Categorical]):
    """T times the term of the bound at a drawn step, plus a share of the cross-entropy of x_0 (eq. 5).

    Args:
        time_sampler: How t is drawn.
        share: lambda.
    """

    def __init__(self, time_sampler: TimeSampler, share: float = 0.01):
        self.time_sampler, self.share = time_sampler, share

    def __call__(self, model: Categorical, x_0: Tensor, cond: Condition, noise: Noise) -> Losses:
        t, importance = self.time_sampler(noise, model.schedule)
        chain, levels = own_chain(model.schedule, t.device), model.kernel.of_images(x_0)
        u = noise.uniform("states", tuple(x_0.shape[1:]))
        x_t = noised(model.kernel, levels, model.schedule(t).alpha ** 2, u)
        p = model(x_t, t, cond).p
        assert p is not None
        vb = (len(chain) * term(model.kernel, levels, x_t, p, chain, chain.index(t))).float()
        sure = -p.clamp(min=1e-30).log().gather(-1, levels[..., None]).flatten(1).mean(1) / math.log(2)
        loss = vb + self.share * sure
        return Losses(importance.to(loss) * loss, t, {"loss": loss, "vb": vb})

    def check(self, model: Categorical) -> None:
        self.time_sampler.check(model.schedule)
        own_chain(model.schedule)


class Stationary(Prior):
    """Every pixel from m."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel

    def __call__(self, schedule: NoiseSchedule, t: Tensor, shape: tuple[int, ...], noise: Noise) -> Tensor:
        u = noise.uniform("x_T", shape)
        return self.kernel.draw(self.kernel.m.to(u.device).expand(*u.shape, -1), u)


class Ancestral(Sampler):
    """x_s ~ p(x_s | x_t); images at the end.

    Args:
        grid: The times.
        kernel: The model's.
    """

    def __init__(self, grid: Grid, kernel: Kernel):
        self.grid, self.kernel, self.prior = grid, kernel, Stationary(kernel)

    def steps(self, walk: Walk) -> Step:
        times, a = walk.chain.times.tolist(), walk.chain.level.alpha**2

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, found = state.step, walk.predict(state.x, state.t)
            assert isinstance(found, Levels)
            assert found.p is not None
            u = noise.uniform("step", tuple(state.x.shape[1:]), step=i)
            x = self.kernel.draw(self.kernel.posterior(state.x, found.p, a[i - 1], a[i]), u)
            return SamplerState(x if i > 1 else self.kernel.images(x), times[i - 1], i - 1, x0=found.x0)

        return step


class DiscreteBound(Likelihood):
    """The bound on -log2 p of grey levels, a term for each step of the schedule."""

    name = "bits_per_level"
    label = "bits/dim of grey levels"

    def times(self, schedule: NoiseSchedule, sampler: Sampler) -> Tensor:
        return own_chain(schedule).times

    def __call__(
        self, model: Categorical, denoise: Any, x_0: Tensor, cond: Condition, noise: Noise, times: Tensor, width: Any
    ) -> Bits:
        kernel, chain, levels = model.kernel, Chain(model.schedule, times).to(x_0.device), model.kernel.of_images(x_0)
        last = kernel.spread(F.one_hot(levels, kernel.states).double(), chain.level.alpha[-1:] ** 2)
        m = kernel.m.to(last)
        kl = torch.where(last > 0, last * (last.clamp(min=1e-30).log() - m.clamp(min=1e-30).log()), 0.0)

        def steps() -> Iterator[BoundStep]:
            for i in range(len(chain), 0, -1):
                index = torch.full((len(x_0),), i, device=x_0.device)
                u = noise.uniform("likelihood", tuple(x_0.shape[1:]), step=i)
                x_t = noised(kernel, levels, chain.level.alpha[index] ** 2, u)
                found = denoise(x_t, chain.times[index], cond)
                error = (found.x0 - kernel.images(levels)).square().flatten(1).mean(1)
                yield BoundStep(
                    float(chain.times[i]), term(kernel, levels, x_t, found.p, chain, index), error, 0 * error
                )

        return Bits(kl.sum(-1).flatten(1).mean(1) / math.log(2), steps())


def velocity(p: Tensor, x_t: Tensor, kept: Tensor, rate: Tensor) -> Tensor:
    """The rate at which a state becomes each other one, rate / (1 - kept) (p - 1[x_t]) (Gat et al. 2024, arXiv 2407.15595, eq. 14).

    Args:
        p: p(x_0 | x_t), [B, ..., states].
        x_t: [B, ...].
        kept: kappa, [B]: how probable it is that a state is that of the data.
        rate: Its derivative in the time that runs from noise to data.
    """
    jump = (rate / (1 - kept)).reshape(-1, *[1] * (p.ndim - 1))
    return jump * (p - F.one_hot(x_t, p.shape[-1]))


def generalized_kl(logits: Tensor, x_0: Tensor, x_t: Tensor, kept: Tensor, rate: Tensor) -> Tensor:
    """The loss of discrete flows whose exponentials are rates, elementwise (Shaul et al. 2024, arXiv 2412.03487, eq. 27)."""
    log_p = logits.log_softmax(-1)
    of_data = log_p.gather(-1, x_0[..., None])[..., 0]
    here = log_p.exp().gather(-1, x_t[..., None])[..., 0]
    same = (x_0 == x_t).to(here)
    jump = (rate / (1 - kept)).reshape(-1, *[1] * (here.ndim - 1))
    return -jump * (here - same + (1 - same) * of_data)
