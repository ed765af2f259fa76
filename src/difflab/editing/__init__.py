"""Pictures changed by the denoiser that draws them: functions around the steps of any sampler."""

from difflab.editing.known_part import CorrectedWithKnown, Gray, KnownPart, Masked, with_known
from difflab.editing.likelihood_product import multiplied, multiplied_bits, of_known_bits

__all__ = [
    "CorrectedWithKnown",
    "Gray",
    "KnownPart",
    "Masked",
    "multiplied",
    "multiplied_bits",
    "of_known_bits",
    "with_known",
]
