"""Variance fraction -> log-variance of a reverse step."""

from difflab.variances.fixed_large import FixedLarge
from difflab.variances.fixed_small import FixedSmall
from difflab.variances.interpolated import Interpolated
from difflab.variances.learned import Learned
from difflab.variances.learned_range import LearnedRange
from difflab.variances.variance import Variance

__all__ = ["FixedLarge", "FixedSmall", "Interpolated", "Learned", "LearnedRange", "Variance"]
