"""Pictures changed by the denoiser that draws them: functions around the steps of any sampler."""

from difflab.editing.known_part import CorrectedWithKnown, Gray, KnownPart, Masked, with_known
from difflab.editing.langevin import langevin_inpainted, langevin_interpolated
from difflab.editing.likelihood_product import multiplied, multiplied_bits, of_known_bits

__all__ = [
    "CorrectedWithKnown",
    "Gray",
    "KnownPart",
    "Masked",
    "langevin_inpainted",
    "langevin_interpolated",
    "multiplied",
    "multiplied_bits",
    "of_known_bits",
    "with_known",
]
