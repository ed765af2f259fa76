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
from difflab.schedules.sde import Coefficients, diffusion
from difflab.schedules.sub_variance_preserving import SubVariancePreserving

__all__ = [
    "EDM",
    "BetweenSteps",
    "Chain",
    "Coefficients",
    "ContinuousCosine",
    "CosinePath",
    "GeometricLadder",
    "LearnedBetas",
    "LinearPath",
    "MonotoneLogSNR",
    "NoiseSchedule",
    "SubVariancePreserving",
    "Tabulated",
    "VarianceExploding",
    "VariancePreserving",
    "cosine",
    "diffusion",
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
