"""Schedules of continuous time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class VariancePreserving(NoiseSchedule):
    """alpha^2 = exp(-(beta_d t^2 / 2 + beta_min t)), sigma^2 = 1 - alpha^2: DDPM's linear schedule with infinitely many steps.

    Song et al. 2021, "Score-Based Generative Modeling", eq. 11 and 32, with beta_d = beta_max - beta_min; Karras et al. 2022, table 1,
    column VP, where sigma / alpha is called sigma. The network is told 999 t, as one that was trained with 1000 steps.

    Args:
        beta_d: Rise of beta(t) = beta_min + beta_d t.
        beta_min: beta at t = 0.
        time_min: Training times are uniform in [time_min, 1].
    """

    steps = None
    endless = True

    def __init__(self, beta_d: float = 19.9, beta_min: float = 0.1, time_min: float = 1e-5):
        if beta_d < 0 or beta_min <= 0:
            raise ValueError(f"beta_min = {beta_min} must be positive, and beta_d = {beta_d} not negative")
        if not 0 <= time_min < 1:
            raise ValueError(f"time_min = {time_min} must be in [0, 1)")
        self.beta_d = beta_d
        self.beta_min = beta_min
        self.time_min = time_min

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        integral = 0.5 * self.beta_d * t**2 + self.beta_min * t
        return AlphaSigma(torch.exp(-0.5 * integral), torch.sqrt(-torch.expm1(-integral)))

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return 999 * t

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.time_min + (1 - self.time_min) * u


class VarianceExploding(NoiseSchedule):
    """Geometric noise levels: alpha = 1, log sigma = log sigma_min + t log(sigma_max / sigma_min).

    Song et al. 2021, "Score-Based Generative Modeling", eq. 9 and appendix C; Karras et al. 2022, table 1, column VE: uniform times are its
    log-uniform noise levels. The network is told log(sigma / 2).

    Args:
        sigma_min: Noise level at t = 0.
        sigma_max: Noise level at t = 1.
    """

    steps = None
    endless = True

    def __init__(self, sigma_min: float = 0.02, sigma_max: float = 100.0):
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"sigma_min = {sigma_min} must be positive and below sigma_max = {sigma_max}")
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        log_sigma = math.log(self.sigma_min) + t * math.log(self.sigma_max / self.sigma_min)
        return AlphaSigma(torch.ones_like(t), torch.exp(log_sigma))

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return torch.log(0.5 * self(t).sigma)

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u


class ContinuousCosine(NoiseSchedule):
    """log-SNR(t) = -2 log tan(a + t (b - a)) + 2 log(reference / image_size), alpha^2 = sigmoid(log-SNR), sigma^2 = 1 - alpha^2.

    a = atan(exp(-log_snr_max / 2)), b = atan(exp(-log_snr_min / 2)) (Ho and Salimans 2022, section 2). The shift gives a large image the
    noise of its average-pooled small version (Hoogeboom et al. 2023, "simple diffusion", section 3.1). The network is told 1000 t.

    Args:
        image_size: Side of the images.
        reference: The side at which the schedule is not shifted.
        log_snr_min: At t = 1, before the shift.
        log_snr_max: At t = 0, before the shift.
    """

    steps = None

    def __init__(self, image_size: int, reference: int, log_snr_min: float = -15.0, log_snr_max: float = 15.0):
        if not log_snr_min < log_snr_max:
            raise ValueError(f"log_snr_min = {log_snr_min} must be below log_snr_max = {log_snr_max}")
        if image_size < 1 or reference < 1:
            raise ValueError(f"image_size = {image_size} and reference = {reference} must be at least 1")
        self.shift = 2 * math.log(reference / image_size)
        self._start = math.atan(math.exp(-log_snr_max / 2))
        self._end = math.atan(math.exp(-log_snr_min / 2))

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        angle = self._start + t.double() * (self._end - self._start)
        log_snr = -2 * torch.log(torch.tan(angle)) + self.shift
        return AlphaSigma(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return 1000 * t

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u


class EDM(NoiseSchedule):
    """Scales alpha = 1, sigma = sigma_max t^rho (Karras et al. 2022, table 1, last column: s = 1; equal distances in t are those of eq. 5).

    The paper's own time is sigma. Here it is warped into [0, 1], so that a uniform t is a sensible noise level; where times are drawn by
    `LogNormal` and samplers walk along a `KarrasGrid`, the warp cancels but for the bound sigma_max, which a log-normal draw exceeds twice
    in a million. The network is told sigma.

    Args:
        sigma_max: Noise level at t = 1; levels go on above it, and churn may raise an image there.
        rho: Exponent of the warp.
    """

    steps = None
    endless = True

    def __init__(self, sigma_max: float = 80.0, rho: float = 7.0):
        if sigma_max <= 0 or rho <= 0:
            raise ValueError(f"sigma_max = {sigma_max} and rho = {rho} must be positive")
        self.sigma_max = sigma_max
        self.rho = rho

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        return AlphaSigma(torch.ones_like(t), self.sigma_max * t**self.rho)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self(t).sigma

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u
