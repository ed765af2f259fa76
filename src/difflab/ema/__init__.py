"""Averages of the weights: step -> decay."""

from difflab.ema.average import Average
from difflab.ema.averaging import (
    YOUNG,
    Averaging,
    Constant,
    HalfLife,
    PostHoc,
    PowerFunction,
    WarmUp,
    initial_share,
    youth,
)
from difflab.ema.tracks import ONLINE, Tracks

__all__ = [
    "ONLINE",
    "YOUNG",
    "Average",
    "Averaging",
    "Constant",
    "HalfLife",
    "PostHoc",
    "PowerFunction",
    "Tracks",
    "WarmUp",
    "initial_share",
    "youth",
]
