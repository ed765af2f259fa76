"""(t, alpha, sigma) -> (c_skip, c_out, c_in, c_noise)."""

from difflab.parameterizations.edm import EDM
from difflab.parameterizations.epsilon import Epsilon
from difflab.parameterizations.parameterization import Parameterization
from difflab.parameterizations.previous_x import PreviousX
from difflab.parameterizations.velocity import Velocity
from difflab.parameterizations.x0 import X0

__all__ = ["EDM", "X0", "Epsilon", "Parameterization", "PreviousX", "Velocity"]
