"""t -> (alpha_t, sigma_t)."""

from difflab.schedules.chain import Chain, own_chain
from difflab.schedules.continuous_cosine import ContinuousCosine
from difflab.schedules.cosine import cosine
from difflab.schedules.edm import EDM
from difflab.schedules.linear import linear
from difflab.schedules.noise_level import noise_level, time_beyond, time_of
from difflab.schedules.scaled_linear import scaled_linear
from difflab.schedules.schedule import NoiseSchedule
from difflab.schedules.sigmoid import sigmoid
from difflab.schedules.sqrt import sqrt
from difflab.schedules.tabulated import Tabulated
from difflab.schedules.variance_exploding import VarianceExploding
from difflab.schedules.variance_preserving import VariancePreserving
from difflab.schedules.zero_terminal_snr import zero_terminal_snr

__all__ = [
    "EDM",
    "Chain",
    "ContinuousCosine",
    "NoiseSchedule",
    "Tabulated",
    "VarianceExploding",
    "VariancePreserving",
    "cosine",
    "linear",
    "noise_level",
    "own_chain",
    "scaled_linear",
    "sigmoid",
    "sqrt",
    "time_beyond",
    "time_of",
    "zero_terminal_snr",
]
