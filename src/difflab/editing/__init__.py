"""Pictures changed by the denoiser that draws them: functions around the steps of any sampler."""

from difflab.editing.known_part import CorrectedWithKnown, Gray, KnownPart, Masked, with_known

__all__ = ["CorrectedWithKnown", "Gray", "KnownPart", "Masked", "with_known"]
