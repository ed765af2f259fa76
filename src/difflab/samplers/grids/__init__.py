"""Which times a sampler visits."""

from difflab.samplers.grids.given import LevelsGrid, TimesGrid
from difflab.samplers.grids.grid import Grid
from difflab.samplers.grids.in_levels import KarrasGrid, LogSNRGrid
from difflab.samplers.grids.in_steps import QuadraticGrid, UniformGrid, respace
from difflab.samplers.grids.of_flows import FlowShiftGrid, ShortLastStep

__all__ = [
    "FlowShiftGrid",
    "Grid",
    "KarrasGrid",
    "LevelsGrid",
    "LogSNRGrid",
    "QuadraticGrid",
    "ShortLastStep",
    "TimesGrid",
    "UniformGrid",
    "respace",
]
