"""How much a time counts."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor

__all__ = ["EDM", "P2", "SNR", "MinSNR", "NoiseLevelPower", "TruncatedSNR", "Unweighted", "Weighting"]


class Weighting(ABC):
    """Weight of the squared error of F at signal-to-noise ratio snr = alpha^2 / sigma^2.

    The error of x_0 is c_out times that of F. So a weight w(snr) that a paper puts on |x_0 - x_0^|^2 is w(snr) c_out^2 here, and a
    weighting means the same loss whatever the network predicts. For eps-prediction c_out^2 = 1 / snr.
    """

    @abstractmethod
    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The weight [B]."""


class EDM(Weighting):
    """lambda(sigma) = (sigma^2 + d^2) / (sigma d)^2 = snr + 1 / d^2 on the x_0 error (Karras et al. 2022, table 1, last column).

    With the parameterization `EDM` of the same d that is 1 on what the network predicts.

    Args:
        sigma_data: d, the standard deviation of the data.
    """

    def __init__(self, sigma_data: float = 0.5):
        if sigma_data <= 0:
            raise ValueError(f"sigma_data = {sigma_data} must be positive")
        self.sigma_data = sigma_data

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return (snr + self.sigma_data**-2) * c_out**2


class MinSNR(Weighting):
    """min(snr, gamma) on the x_0 error (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eq. 5).

    Args:
        gamma: The largest weight.
    """

    def __init__(self, gamma: float = 5.0):
        self.gamma = gamma

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr.clamp(max=self.gamma) * c_out**2


class NoiseLevelPower(Weighting):
    """(sigma / alpha)^power on the squared error of the score of x_t / alpha, which is snr^(2 - power / 2) on the x_0 error.

    lambda(sigma) of Song and Ermon 2019, section 4.2, where power = 2 makes all levels count alike: `SNR`.

    Args:
        power: Exponent; 0 is the plain error of the score.
    """

    def __init__(self, power: float = 2.0):
        self.power = power

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr ** (2 - self.power / 2) * c_out**2


class P2(Weighting):
    """Weight snr / (k + snr)^gamma on the x_0 error, which is 1 / (k + snr)^gamma on the eps error (Choi et al. 2022, eq. 8).

    Args:
        k: The signal-to-noise ratio about which the weight bends.
        gamma: How strongly.
    """

    def __init__(self, k: float = 1.0, gamma: float = 1.0):
        self.k = k
        self.gamma = gamma

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr * c_out**2 / (self.k + snr) ** self.gamma


class SNR(Weighting):
    """Weight snr on the x_0 error, which is 1 on the eps error (Salimans and Ho 2022, section 4)."""

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr * c_out**2


class TruncatedSNR(Weighting):
    """max(snr, floor) on the x_0 error (Salimans and Ho 2022, section 4, with floor = 1).

    Args:
        floor: The smallest weight.
    """

    def __init__(self, floor: float = 1.0):
        self.floor = floor

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr.clamp(min=self.floor) * c_out**2


class Unweighted(Weighting):
    """1 on the squared error of what the network itself predicts (L_simple, Ho et al. 2020, eq. 14)."""

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return torch.ones_like(snr)
