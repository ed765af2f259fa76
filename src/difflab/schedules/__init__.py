"""Noise schedules: t -> (alpha_t, sigma_t)."""

from difflab.schedules.continuous import EDM, ContinuousCosine, VarianceExploding, VariancePreserving
from difflab.schedules.discrete import (
    BetweenSteps,
    Tabulated,
    cosine,
    harmonic,
    linear,
    scaled_linear,
    sigmoid,
    sqrt,
    warm_up,
    zero_terminal_snr,
)
from difflab.schedules.ladder import GeometricLadder
from difflab.schedules.learned import LearnedBetas, MonotoneLogSNR
from difflab.schedules.paths import CosinePath, LinearPath
from difflab.schedules.schedule import Chain, NoiseSchedule, noise_level, own_chain, rates, time_beyond, time_of

__all__ = [
    "EDM",
    "BetweenSteps",
    "Chain",
    "ContinuousCosine",
    "CosinePath",
    "GeometricLadder",
    "LearnedBetas",
    "LinearPath",
    "MonotoneLogSNR",
    "NoiseSchedule",
    "Tabulated",
    "VarianceExploding",
    "VariancePreserving",
    "cosine",
    "harmonic",
    "linear",
    "noise_level",
    "own_chain",
    "rates",
    "scaled_linear",
    "sigmoid",
    "sqrt",
    "time_beyond",
    "time_of",
    "warm_up",
    "zero_terminal_snr",
]
