"""A training step's mathematics asks its device for no number and takes none from the host: a GPU would be waited for.

Tried on a device that has shapes but no values, where every such question is an error.
"""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from difflab import parameterizations, schedules
from difflab.denoiser import Denoiser
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.objectives import VLB, Hybrid, Simple
from difflab.objectives.time_samplers import Antithetic, LogNormal, LossSecondMoment, Stratified, Uniform
from difflab.objectives.weightings import EDM, P2, SNR, MinSNR, TruncatedSNR, Unweighted
from difflab.parameterizations import X0, Epsilon, Velocity
from difflab.schedules import ContinuousCosine, cosine
from difflab.training.callbacks import ObjectiveCallback
from difflab.types import Condition, Label
from difflab.variances import FixedSmall, LearnedRange
from tiny import losses_of

META = torch.device("meta")
TABLE = cosine(50)


class PixelNetwork(Network):
    """A 1x1 convolution and the time."""

    in_channels, image_size = 3, 4

    def __init__(self, out_channels):
        super().__init__()
        self.out_channels = out_channels
        self.conv = nn.Conv2d(3, out_channels, 1)

    def forward(self, x, time, cond):
        return self.conv(x) + time[:, None, None, None].to(x.dtype)


class NoTransfer(TorchDispatchMode):
    """Refuses every operation between the host and another device. Single numbers travel with an operation, and none waits for them."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        devices = {leaf.device for leaf in tree_leaves((args, out)) if isinstance(leaf, torch.Tensor) and leaf.ndim}
        assert len(devices) < 2, f"{func} goes between {devices}"
        return out


CASES = {
    "epsilon": (Simple(Uniform(), Unweighted()), TABLE, Epsilon(), FixedSmall()),
    "min-snr": (Simple(Antithetic(), MinSNR(5.0)), TABLE, X0(), FixedSmall()),
    "velocity": (Simple(Stratified(6), TruncatedSNR()), ContinuousCosine(32, 32), Velocity(), FixedSmall()),
    "edm": (Simple(LogNormal(), EDM()), schedules.EDM(), parameterizations.EDM(0.5), FixedSmall()),
    "p2": (Simple(Uniform(), P2()), TABLE, Epsilon(), FixedSmall()),
    "snr": (Simple(LossSecondMoment(50, history=1), SNR()), TABLE, Epsilon(), FixedSmall()),
    "hybrid": (Hybrid(Uniform(), Unweighted()), TABLE, Epsilon(), LearnedRange()),
    "vlb": (VLB(LossSecondMoment(50, history=1)), TABLE, Epsilon(), LearnedRange()),
}


@pytest.mark.parametrize("name", CASES)
def test_a_training_step_neither_reads_nor_sends_a_number(name):
    objective, schedule, parameterization, variance = CASES[name]
    denoiser = Denoiser(PixelNetwork(3 * (1 + variance.channels)), schedule, parameterization, variance).to(META)
    callback = ObjectiveCallback(objective, log_every=10, condition_dropout=0.1)
    x_0 = torch.zeros(6, 3, 4, 4, device=META)
    number = torch.arange(6, device=META)

    def step():
        losses = losses_of(callback, denoiser, x_0, Condition(label=Label(number % 3)), ImageNoise(0, number))
        losses.total.mean().backward()
        if objective.time_sampler.is_loss_aware:
            objective.time_sampler.update(losses.t, losses.terms["loss"].detach().double())

    step()  # the schedule's tables move to the device once
    with NoTransfer():
        step()
    assert all(p.grad is not None and p.grad.device == META for p in denoiser.parameters())


def test_the_mode_notices_a_transfer():
    with NoTransfer(), pytest.raises(AssertionError, match="goes between"):
        torch.zeros(3).to(META)
