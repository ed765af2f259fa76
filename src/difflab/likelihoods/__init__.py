"""Likelihoods: (model, images) -> bits per dimension."""

from difflab.likelihoods.binomial import BitsPerBit, BitsPerSequence
from difflab.likelihoods.likelihood import Bits, Likelihood, VariationalBound
from difflab.likelihoods.of_model import HasBits, OfModel
from difflab.likelihoods.probability_flow import ProbabilityFlow

__all__ = [
    "Bits",
    "BitsPerBit",
    "BitsPerSequence",
    "HasBits",
    "Likelihood",
    "OfModel",
    "ProbabilityFlow",
    "VariationalBound",
]
