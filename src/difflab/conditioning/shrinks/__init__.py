"""How an image is made small."""

from difflab.conditioning.shrinks.area import Area
from difflab.conditioning.shrinks.bicubic import Bicubic
from difflab.conditioning.shrinks.shrink import Shrink

__all__ = ["Area", "Bicubic", "Shrink"]
