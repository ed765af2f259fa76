"""Which times a sampler visits."""

from difflab.samplers.grids.flow_shift import FlowShiftGrid
from difflab.samplers.grids.given import LevelsGrid, TimesGrid
from difflab.samplers.grids.grid import Grid
from difflab.samplers.grids.in_levels import KarrasGrid, LogSNRGrid
from difflab.samplers.grids.in_steps import QuadraticGrid, UniformGrid, respace

__all__ = [
    "FlowShiftGrid",
    "Grid",
    "KarrasGrid",
    "LevelsGrid",
    "LogSNRGrid",
    "QuadraticGrid",
    "TimesGrid",
    "UniformGrid",
    "respace",
]
