"""How training times are drawn."""

from difflab.objectives.time_samplers.antithetic import Antithetic
from difflab.objectives.time_samplers.log_normal import LogNormal
from difflab.objectives.time_samplers.loss_second_moment import LossSecondMoment
from difflab.objectives.time_samplers.stratified import Stratified
from difflab.objectives.time_samplers.time_sampler import TimeDraw, TimeSampler
from difflab.objectives.time_samplers.uniform import Uniform

__all__ = ["Antithetic", "LogNormal", "LossSecondMoment", "Stratified", "TimeDraw", "TimeSampler", "Uniform"]
