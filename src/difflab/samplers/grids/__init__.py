"""Which times a sampler visits."""

from difflab.samplers.grids.grid import Grid
from difflab.samplers.grids.karras import KarrasGrid
from difflab.samplers.grids.quadratic import QuadraticGrid
from difflab.samplers.grids.uniform import UniformGrid, respace

__all__ = ["Grid", "KarrasGrid", "QuadraticGrid", "UniformGrid", "respace"]
