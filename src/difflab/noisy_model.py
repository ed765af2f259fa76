"""A model that reads noised images: network o schedule o parameterization."""

from __future__ import annotations

from abc import ABC

from torch import Tensor, nn

from difflab.networks.network import Network
from difflab.parameterizations import Parameterization
from difflab.parts import check_shares_schedule
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma, Preconditioning


class NoisyModel(nn.Module, ABC):
    """Holds the weights of what is trained on x_t: `Denoiser`, `NoisyClassifier`. A subclass says what the network's output means.

    network           F(c_in x_t, c_noise, cond)
    schedule          t -> (alpha, sigma); one that is a module learns with the network
    parameterization  how the network is fed (c_in, c_noise), and how a denoiser's is read
    """

    def __init__(self, network: Network, schedule: NoiseSchedule, parameterization: Parameterization):
        super().__init__()
        check_shares_schedule("parameterization", parameterization, schedule)
        self.network = network
        self.schedule = schedule
        self.parameterization = parameterization

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.network.in_channels, self.network.image_size, self.network.image_size

    def coefficients(self, t: Tensor) -> tuple[AlphaSigma, Preconditioning]:
        """(alpha, sigma) at t, and the coefficients around the network."""
        level = self.schedule(t)
        return level, self.parameterization(t, level.alpha, level.sigma, self.schedule.network_time(t))
