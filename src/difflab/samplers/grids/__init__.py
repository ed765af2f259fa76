"""Which times a sampler visits."""

from difflab.samplers.grids.grid import Grid
from difflab.samplers.grids.quadratic import QuadraticGrid
from difflab.samplers.grids.uniform import UniformGrid, respace

__all__ = ["Grid", "QuadraticGrid", "UniformGrid", "respace"]
