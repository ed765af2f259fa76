"""Noise schedules: t -> (alpha_t, sigma_t)."""

from difflab.schedules.continuous import EDM, ContinuousCosine, VarianceExploding, VariancePreserving
from difflab.schedules.discrete import (
    BetweenSteps,
    Tabulated,
    cosine,
    linear,
    scaled_linear,
    sigmoid,
    sqrt,
    zero_terminal_snr,
)
from difflab.schedules.schedule import Chain, NoiseSchedule, noise_level, own_chain, time_beyond, time_of

__all__ = [
    "EDM",
    "BetweenSteps",
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
