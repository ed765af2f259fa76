"""t -> (alpha_t, sigma_t)."""

from difflab.schedules.chain import Chain, own_chain
from difflab.schedules.continuous_cosine import ContinuousCosine
from difflab.schedules.cosine import cosine
from difflab.schedules.linear import linear
from difflab.schedules.scaled_linear import scaled_linear
from difflab.schedules.schedule import NoiseSchedule
from difflab.schedules.sigmoid import sigmoid
from difflab.schedules.sqrt import sqrt
from difflab.schedules.tabulated import Tabulated
from difflab.schedules.zero_terminal_snr import zero_terminal_snr

__all__ = [
    "Chain",
    "ContinuousCosine",
    "NoiseSchedule",
    "Tabulated",
    "cosine",
    "linear",
    "own_chain",
    "scaled_linear",
    "sigmoid",
    "sqrt",
    "zero_terminal_snr",
]
