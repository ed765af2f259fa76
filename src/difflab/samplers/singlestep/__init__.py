"""Samplers whose steps ask the denoiser at places on the way and forget: one mechanism for all of them."""

from difflab.samplers.singlestep.adaptive import AdaptiveDPMSolver
from difflab.samplers.singlestep.noises import Ancestral, NoisyStages, NoNoise, StepNoise
from difflab.samplers.singlestep.orders import EachStep, Leap, Orders, PerEvaluation
from difflab.samplers.singlestep.singlestep import Singlestep

__all__ = [
    "AdaptiveDPMSolver",
    "Ancestral",
    "EachStep",
    "Leap",
    "NoNoise",
    "NoisyStages",
    "Orders",
    "PerEvaluation",
    "Singlestep",
    "StepNoise",
]
