"""Samplers: (DenoiseFn, x_T) -> x_0."""

from difflab.samplers.binomial import BinomialAncestral, FairCoins
from difflab.samplers.ddim import DDIM
from difflab.samplers.ddpm import DDPM
from difflab.samplers.draw import balanced_labels, draw, draw_from, noise_of, shares
from difflab.samplers.euler import Euler
from difflab.samplers.heun import Heun
from difflab.samplers.langevin import AnnealedLangevin
from difflab.samplers.multistep import Multistep
from difflab.samplers.one_pass import OnePass
from difflab.samplers.predictor_corrector import PredictorCorrector
from difflab.samplers.priors import NormalPrior, Prior
from difflab.samplers.probability_flow import ProbabilityFlow
from difflab.samplers.recorder import Moments, Recorder
from difflab.samplers.sampler import (
    Moment,
    Onlooker,
    Sampler,
    SamplerState,
    SamplerStep,
    Step,
    Walk,
)
from difflab.samplers.singlestep import AdaptiveDPMSolver, Singlestep
from difflab.samplers.stochastic import StochasticEuler, StochasticHeun

__all__ = [
    "DDIM",
    "DDPM",
    "AdaptiveDPMSolver",
    "AnnealedLangevin",
    "BinomialAncestral",
    "Euler",
    "FairCoins",
    "Heun",
    "Moment",
    "Moments",
    "Multistep",
    "NormalPrior",
    "OnePass",
    "Onlooker",
    "PredictorCorrector",
    "Prior",
    "ProbabilityFlow",
    "Recorder",
    "Sampler",
    "SamplerState",
    "SamplerStep",
    "Singlestep",
    "Step",
    "StochasticEuler",
    "StochasticHeun",
    "Walk",
    "balanced_labels",
    "draw",
    "draw_from",
    "noise_of",
    "shares",
]
