"""DenoiseFn -> DenoiseFn."""

from difflab.guidance.classifier_free import ClassifierFree
from difflab.guidance.clip import Clip
from difflab.guidance.guidance import Guidance, chained

__all__ = ["ClassifierFree", "Clip", "Guidance", "chained"]
