"""(denoiser, x_0, cond, noise) -> Losses: everything that is random about training."""

from difflab.objectives.hybrid import Hybrid
from difflab.objectives.objective import Objective
from difflab.objectives.simple import Simple
from difflab.objectives.vlb import VLB, bound_term

__all__ = ["VLB", "Hybrid", "Objective", "Simple", "bound_term"]
