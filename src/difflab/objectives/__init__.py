"""Objectives: (model, x_0, cond, noise) -> Losses, everything that is random about training."""

from difflab.objectives.binomial import BinomialBound, binomial_bound_steps, binomial_prior_bits, binomial_term
from difflab.objectives.bits_per_dim import BoundStep, bound_steps
from difflab.objectives.coupled import Coupled
from difflab.objectives.hybrid import Hybrid
from difflab.objectives.likelihood_weighted import LikelihoodWeighted
from difflab.objectives.noisy_classification import NoisyClassification, classification_terms
from difflab.objectives.objective import Objective, SquaredError, loss_aware_parts, own_modules
from difflab.objectives.reflow import Reflow
from difflab.objectives.simple import Simple
from difflab.objectives.vlb import VLB, bound_term, prior_bits

__all__ = [
    "VLB",
    "BinomialBound",
    "BoundStep",
    "Coupled",
    "Hybrid",
    "LikelihoodWeighted",
    "NoisyClassification",
    "Objective",
    "Reflow",
    "Simple",
    "SquaredError",
    "binomial_bound_steps",
    "binomial_prior_bits",
    "binomial_term",
    "bound_steps",
    "bound_term",
    "classification_terms",
    "loss_aware_parts",
    "own_modules",
    "prior_bits",
]
