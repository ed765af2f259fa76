"""What a model is told of an image besides (x_t, t), in training and in sampling."""

from difflab.conditioning.conditioning import Conditioning, conditioned
from difflab.conditioning.dropout import ConditionDropout
from difflab.conditioning.low_resolution import LowResolution, low_resolution_of
from difflab.conditioning.self_conditioning import SelfConditioning

__all__ = [
    "ConditionDropout",
    "Conditioning",
    "LowResolution",
    "SelfConditioning",
    "conditioned",
    "low_resolution_of",
]
