"""The network predicts the mean of the previous image of the chain."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.parameterizations.parameterization import Parameterization
from difflab.process import transition
from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma, Preconditioning


class PreviousX(Parameterization):
    """F = mean of q(x_s | x_t, x_0) for the step s = t - 1/T before t, x_0 = (F - coef_xt x_t) / coef_x0.

    The mu-prediction of Ho et al. 2020, table 2. The step is always one of the schedule's own chain, on which the network was
    trained, also when sampling takes fewer steps. (guided-diffusion's respaced models read the output as the respaced chain's
    mean instead; for that, give the respaced betas as a schedule.)

    schedule    the discrete schedule of the model
    """

    def __init__(self, schedule: NoiseSchedule):
        if schedule.steps is None:
            raise ValueError(
                "previous-x prediction needs a discrete schedule: in continuous time there is no previous step"
            )
        self.schedule = schedule
        self._step = 1 / schedule.steps

    def __call__(
        self,
        t: Float64[Tensor, " b"],
        alpha: Float64[Tensor, " b"],
        sigma: Float64[Tensor, " b"],
        time: Float64[Tensor, " b"],
    ) -> Preconditioning:
        step = transition(self.schedule((t - self._step).clamp(min=0)), AlphaSigma(alpha, sigma))
        return Preconditioning(-step.coef_xt / step.coef_x0, 1 / step.coef_x0, torch.ones_like(alpha), time)
