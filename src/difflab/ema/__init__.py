"""step -> decay: averages of the weights."""

from difflab.ema.averaging import YOUNG, Averaging, initial_share, youth
from difflab.ema.constant import Constant
from difflab.ema.half_life import HalfLife
from difflab.ema.posthoc import PostHoc
from difflab.ema.power_function import PowerFunction
from difflab.ema.tracks import ONLINE, Tracks
from difflab.ema.warm_up import WarmUp

__all__ = [
    "ONLINE",
    "YOUNG",
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
