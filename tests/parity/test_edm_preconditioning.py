"""Denoisers and losses beside those of EDM's code: EDM's own, VP and VE (Karras et al. 2022, table 1)."""

from itertools import product

import numpy as np
import torch
from edm import EDM_NUMBERS as PEER
from edm import FakeF, fake_denoiser
from feeds import SuppliedNoise
from recipes import NoiseFeed

from difflab import schedules
from difflab.objectives import Simple, weightings
from difflab.objectives.time_samplers import LogNormal, Uniform
from difflab.parameterizations import EDM, Epsilon
from difflab.schedules import time_of
from difflab.types import Condition
from one_pass import each

COLUMNS = {
    "EDM": (schedules.EDM(), EDM(), 1.0),
    "VP": (schedules.VariancePreserving(), Epsilon(), 1.0),
    "VE": (schedules.VarianceExploding(), Epsilon(), -1.0),  # its c_out is sigma and not -sigma
}
SIGMA = torch.from_numpy(PEER["precond/sigma"])


@each(
    ("labels", "column"),
    product([None, torch.from_numpy(PEER["precond/labels"])], COLUMNS),
)
def test_denoised_images(column, labels):
    schedule, parameterization, sign = COLUMNS[column]
    inside = slice(1, None) if column == "VE" else slice(None)  # sigma = 0.002 is below that schedule's
    network = FakeF(None if labels is None else labels[inside], sign)
    denoiser = fake_denoiser(schedule, parameterization, network)
    t = time_of(schedule, SIGMA[inside])
    x = torch.from_numpy(PEER["precond/x_scaled(x*sqrt(sigma^2+0.25))"])[inside]
    alpha = schedule(t).alpha.reshape(-1, 1, 1, 1)
    ours = denoiser((alpha * x).float(), t, Condition()).x0.detach()
    key = f"{column}Precond/label_dim={0 if labels is None else 3}/D(x_scaled,sigma,labels)"
    near = 1e-4 if column == "VP" else 2e-6  # the peer finds VP's time in float32
    np.testing.assert_allclose(ours, PEER[key][inside], rtol=near, atol=10 * near)
    c_noise = PEER[f"{column}Precond/c_noise"][inside]
    np.testing.assert_allclose(network.times[-1], c_noise, rtol=2e-6, atol=1e-3 if column == "VP" else 0)


LOSSES = {
    "EDMLoss0": ("EDM", LogNormal(), weightings.EDM()),
    "EDMLoss1": ("EDM", LogNormal(-0.8, 1.6), weightings.EDM(0.6)),
    "VPLoss0": ("VP", Uniform(), weightings.SNR()),
    "VELoss0": ("VE", Uniform(), weightings.SNR()),
}


@each("name", LOSSES)
def test_losses(name):
    column, time_sampler, weighting = LOSSES[name]
    schedule, parameterization, sign = COLUMNS[column]
    feed, images = NoiseFeed(61000), torch.from_numpy(PEER["loss/images"])
    drawn = feed.randn(5, 1, 1, 1) if column == "EDM" else feed.rand(5, 1, 1, 1)
    u = torch.special.ndtr(drawn) if column == "EDM" else 1 - drawn if column == "VP" else drawn
    noise = SuppliedNoise({"time": u.flatten(), "eps": feed.randn(5, 3, 4, 4)})
    denoiser = fake_denoiser(schedule, parameterization, FakeF(sign=sign))
    losses = Simple(time_sampler, weighting)(denoiser, images, Condition(), noise)
    level = schedules.noise_level(schedule, losses.t)
    np.testing.assert_allclose(level, PEER[f"{name}/sigma"].flatten(), rtol=2e-5)
    np.testing.assert_allclose(losses.total.detach(), PEER[f"{name}/loss"].mean((1, 2, 3)), rtol=1e-4)
    assert (losses.total == losses.terms["loss"]).all()
