"""t -> by how much of w - 1 is guided."""

from difflab.guidance.shapes.constant import Constant
from difflab.guidance.shapes.cosine import Cosine
from difflab.guidance.shapes.linear import Linear
from difflab.guidance.shapes.noise_level_interval import NoiseLevelInterval
from difflab.guidance.shapes.shape import Shape
from difflab.guidance.shapes.time_interval import TimeInterval

__all__ = ["Constant", "Cosine", "Linear", "NoiseLevelInterval", "Shape", "TimeInterval"]
