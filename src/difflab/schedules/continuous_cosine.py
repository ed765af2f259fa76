"""The cosine schedule in continuous time, with its shift for high resolutions."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class ContinuousCosine(NoiseSchedule):
    """log-SNR(t) = -2 log tan(a + t (b - a)) + 2 log(reference / image_size), alpha^2 = sigmoid(log-SNR), sigma^2 = 1 - alpha^2.

    a = atan(exp(-log_snr_max / 2)), b = atan(exp(-log_snr_min / 2)) (Ho and Salimans 2022, section 2). The shift gives a large image
    the noise of its average-pooled small version (Hoogeboom et al. 2023, "simple diffusion", section 3.1).
    The network is told 1000 t.

    image_size, reference      side of the images, and the side at which the schedule is not shifted
    log_snr_min, log_snr_max   before the shift
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
