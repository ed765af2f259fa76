"""Where guided-diffusion's DDIM is off at eta = 1: one float32 number of its first step, chain by chain.

The peer multiplies eps by sqrt(1 - alpha_bar_s - v), v = (1 - alpha_bar_s) / (1 - alpha_bar_t) * (1 - alpha_bar_t / alpha_bar_s), and
computes it in float32. Where hardly any signal is left at t (alpha_bar_t = 2.4e-9 at the end of a cosine chain), 1 - alpha_bar_s and v
are equal but for a millionth, so that the float32 difference is 0, 1, 2 ... times 2^-24 whatever the exact one is. Thus the factor is
0 in cosine|10 and not sqrt(1.295) / 4096 = 2.78e-4, and the sample 3.7e-4 off; it is 1 / 4096 = 2.44e-4 in cosine|4,3,2 and not 7.53e-5.

`ROUNDED` has all such chains among those of 2 to 10 steps, "4,3,2", "10,10,10" and 25 steps. In all other chains, and in all other steps of
these, the factor is right to 6e-6.

Nothing here is taken from the processor that tests. numpy's float32 scalars round +, -, *, / and sqrt as IEEE 754 asks on every
processor. torch's sqrt of a tensor does not: MKL's, which it uses, may miss the last bit, on some processors and not on others. Where the
golden numbers were made it did, and `last_bits` says so; where it does not, cosine|4,3,2 is NaN (an AVX-512 Intel).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from difflab.noise import Noise
from difflab.process import eps_from_x0
from difflab.samplers import DDIM
from difflab.samplers.grids import Grid
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import Condition, DenoiseFn

UNIT = 2.0**-24


@dataclass(frozen=True)
class Rounded:
    """The peer's 1 - alpha_bar_s - v in a chain's first step from x_T, and what comes of it.

    Attributes:
        exact: The difference in 2^-24, in float64.
        peer: The same of the peer, where the golden numbers were made. Its root, and the whole sample, is NaN if it is below 0.
        last_bits: By how many last bits the two square roots of which that machine made v are off.
        gaps: By how much the sample differs for that number, of its largest pixel, if eps, x_0, the previous x is predicted.
    """

    exact: float
    peer: float
    last_bits: tuple[int, int]
    gaps: tuple[float, float, float] | None

    def gap(self, case: str) -> float:
        """The gap of a loop, by its key in gd_loops.npz."""
        assert self.gaps is not None
        return self.gaps[["EPSILON", "START_X", "PREVIOUS_X"].index(case.split("/")[1])]


ROUNDED = {  # exact, peer, last bits, gaps; and the factor: the exact one, the peer's
    "linear|2": Rounded(6.772e-6, -(2.0**-12), (0, 1), None),  # 6.35e-7, NaN
    "cosine|2": Rounded(6.946e-11, -(2.0**-14), (0, 0), None),  # 2.03e-9, NaN
    "cosine|3": Rounded(0.02134, -1, (0, 0), None),  # 3.57e-5, NaN
    "cosine|4": Rounded(0.09417, 0, (0, 0), (1.3e-4, 7.7e-5, 7.9e-5)),  # 7.49e-5, 0
    "cosine|5": Rounded(0.2068, 0, (0, 0), (1.9e-4, 8.7e-5, 8.0e-5)),  # 1.11e-4, 0
    "cosine|6": Rounded(0.3556, -1, (1, 0), None),  # 1.46e-4, NaN
    "cosine|7": Rounded(0.5365, 0, (0, 1), (2.7e-4, 6.4e-5, 4.4e-5)),  # 1.79e-4, 0
    "cosine|8": Rounded(0.7547, -1, (0, 1), None),  # 2.12e-4, NaN
    "cosine|9": Rounded(1.0075, -1, (1, 1), None),  # 2.45e-4, NaN
    "cosine|10": Rounded(1.2950, 0, (0, 1), (3.7e-4, 5.7e-5, 1.7e-5)),  # 2.78e-4, 0
    "cosine|4,3,2": Rounded(0.09502, 1, (0, -1), (2.9e-4, 7.3e-5, 3.3e-5)),  # 7.53e-5, 2.44e-4
    "cosine|10,10,10": Rounded(12.187, 12, (0, 0), (2.4e-6, 2.3e-7, 0)),  # 8.523e-4, 8.457e-4
    "cosine|25": Rounded(9.4432, 10, (0, 0), (6.9e-6, 7.1e-7, 0)),  # 7.502e-4, 7.720e-4
}


def float32_difference(before: float, now: float, eta: float, last_bits: tuple[int, int] = (0, 0)) -> float:
    """1 - alpha_bar_s - v of the peer, rounded to float32 after each operation as there.

    Args:
        before: alpha_bar_s.
        now: alpha_bar_t.
        eta: As DDIM's.
        last_bits: By how many last bits the two square roots are off.
    """
    bar_s, bar_t, one = np.float32(before), np.float32(now), np.float32(1)
    roots = [np.sqrt((one - bar_s) / (one - bar_t)), np.sqrt(one - bar_t / bar_s)]
    for i, bits in enumerate(last_bits):
        for _ in range(abs(bits)):
            roots[i] = np.nextafter(roots[i], np.float32(2 if bits > 0 else 0))
    std = np.float32(eta) * roots[0] * roots[1]
    return float(one - bar_s - std * std)


class AllButTheLast(Grid):
    """The times of another grid without the noisiest."""

    def __init__(self, grid: Grid):
        self.grid = grid

    def __call__(self, schedule: NoiseSchedule) -> Tensor:
        return self.grid(schedule)[:-1]


@torch.no_grad()
def with_their_number(
    rounded: Rounded,
    denoise: DenoiseFn,
    sampler: DDIM,
    schedule: NoiseSchedule,
    x_T: Tensor,
    cond: Condition,
    noise: Noise,
) -> Tensor:
    """The sample if in the first step, from x_T, that number is the peer's."""
    chain = Chain(schedule, sampler.grid(schedule))
    last = torch.full((len(x_T),), len(chain))
    eps = eps_from_x0(x_T, denoise(x_T, chain.times[last], cond).x0, chain[last])
    x_s = next(iter(sampler.trajectory(denoise, schedule, x_T, cond, noise))).x_s
    x_s = x_s + (sqrt(rounded.peer * UNIT) - sqrt(rounded.exact * UNIT)) * eps
    return DDIM(AllButTheLast(sampler.grid), eta=sampler.eta)(denoise, schedule, x_s, cond, noise)
