"""The denoiser: what the network is given, and how its words are read."""

import numpy as np
import torch
from torch import Tensor

from difflab.denoiser import Denoiser
from difflab.networks.network import Network
from difflab.parameterizations import Epsilon, Parameterization, Velocity
from difflab.process import over, perturb
from difflab.schedules import cosine, linear
from difflab.types import Condition, Label, Preconditioning
from difflab.variances import FixedSmall, LearnedRange

X_0, EPS = torch.from_numpy(np.random.RandomState(0).randn(2, 5, 3, 4, 4))
T = torch.tensor([0.001, 0.2, 0.5, 0.8, 1.0], dtype=torch.float64)


class Recorder(Network):
    """Remembers what it was called with; says x in every group of three channels, times 1, 2, ..."""

    in_channels, image_size = 3, 4

    def __init__(self, groups: int = 1, dtype: torch.dtype | None = None):
        super().__init__()
        self.groups, self.out_channels, self.dtype = groups, 3 * groups, dtype

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        self.called_with = x, time, cond
        return torch.cat([x * (group + 1) for group in range(self.groups)], dim=1).to(self.dtype or x.dtype)


class Karras(Parameterization):
    """Karras et al. 2022, table 1, in (alpha, sigma): unit variance in and out for data of standard deviation 0.5."""

    def __call__(self, t: Tensor, alpha: Tensor, sigma: Tensor, time: Tensor) -> Preconditioning:
        power = alpha**2 * 0.25 + sigma**2
        return Preconditioning(
            alpha * 0.25 / power, sigma * 0.5 / power.sqrt(), 1 / power.sqrt(), torch.log(sigma / alpha) / 4
        )


def test_a_new_parameterization_is_four_coefficients():
    schedule, network = cosine(1000), Recorder()
    denoiser, cond = Denoiser(network, schedule, Karras(), FixedSmall()), Condition(label=Label(torch.arange(5)))
    level = schedule(T)
    alpha, sigma = over(level.alpha, X_0), over(level.sigma, X_0)
    x_t = perturb(X_0, EPS, level)
    x_0 = denoiser(x_t, T, cond).x0
    x_in, time, passed = network.called_with
    torch.testing.assert_close(x_in, x_t / torch.sqrt(0.25 * alpha**2 + sigma**2))
    torch.testing.assert_close(time, torch.log(level.sigma / level.alpha) / 4)
    assert passed is cond
    power = 0.25 * alpha**2 + sigma**2
    torch.testing.assert_close(x_0, alpha * 0.25 / power * x_t + sigma * 0.5 / torch.sqrt(power) * x_in)
    # the target is of unit variance where the data are
    target = denoiser.raw(x_t, T, cond).target(0.5 * X_0, EPS)
    torch.testing.assert_close(
        target, (0.5 * X_0 - alpha * 0.25 / power * (0.5 * alpha * X_0 + sigma * EPS)) / (sigma * 0.5 / power.sqrt())
    )


def test_the_network_is_told_the_step_and_speaks_of_two_things():
    schedule, network = linear(1000), Recorder(groups=2)
    denoiser = Denoiser(network, schedule, Epsilon(), LearnedRange())
    prediction = denoiser(X_0, T, Condition())
    assert network.called_with[1].tolist() == [0, 199, 499, 799, 999]
    torch.testing.assert_close(prediction.variance_fraction, 2 * X_0)
    level = schedule(T)
    torch.testing.assert_close(prediction.x0, X_0 * over((1 - level.sigma) / level.alpha, X_0), rtol=1e-9, atol=1e-9)


def test_a_network_in_half_precision_predicts_in_the_images_type():
    denoiser = Denoiser(Recorder(2, torch.bfloat16), cosine(1000), Velocity(), LearnedRange())
    prediction = denoiser(X_0.float(), T, Condition())
    assert prediction.x0.dtype == prediction.variance_fraction.dtype == torch.float32
    assert denoiser.image_shape == (3, 4, 4)


def test_coefficients_are_float64_until_they_meet_the_image():
    """In float32 the noise of cosine's last step would be 1 and its signal off by a part in a million."""
    denoiser = Denoiser(Recorder(), cosine(1000), Epsilon(), FixedSmall())
    raw = denoiser.raw(X_0.float(), T, Condition())
    assert {c.dtype for c in (*raw.c, *raw.level)} == {torch.float64}
    assert 0 < 1 - raw.level.sigma[-1].item() < 1e-8
