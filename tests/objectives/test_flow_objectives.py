"""Times, couplings and reflow, on data for which the flow is known: x_0 = mean + s eps is the straight map from N(0, 1) to N(mean, s^2)."""

import math

import pytest
import torch

from difflab.denoiser import Denoiser
from difflab.networks.network import Network
from difflab.noise import ImageNoise
from difflab.objectives import Coupled, Reflow, Simple
from difflab.objectives.couplings import EntropicTransport, ExactTransport, squared_distances
from difflab.objectives.flow_times import CosineMap, LogitNormal, Mode
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import FlowVelocity
from difflab.samplers import DDIM, Euler, Heun
from difflab.samplers.along import Time
from difflab.samplers.grids import UniformGrid
from difflab.schedules import CosinePath, LinearPath, NoiseSchedule, VariancePreserving, noise_level
from difflab.types import Condition
from difflab.variances import FixedSmall

S = 0.25
NOISE = ImageNoise(0, torch.arange(64))
LINEAR = LinearPath()
U = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)


class Flow(Network):
    """The velocity of the flow between independent N(0, 1) and N(0, s^2): (t - (1 - t) s^2) x / ((1 - t)^2 s^2 + t^2)."""

    in_channels = out_channels = 2
    image_size = ()

    def velocity(self, x, t):
        return (t - (1 - t) * S**2) / ((1 - t) ** 2 * S**2 + t**2) * x

    def forward(self, x, time, cond):
        return self.velocity(x, time[:, None].to(x) / 1000)


class Straight(Network):
    """The velocity of the flow between N(0, 1) and its multiples by s: (1 - s) x / ((1 - t) s + t)."""

    in_channels = out_channels = 2
    image_size = ()

    def forward(self, x, time, cond):
        t = time[:, None].to(x) / 1000
        return (1 - S) / ((1 - t) * S + t) * x


def model(network: Network, schedule: NoiseSchedule = LINEAR) -> Denoiser:
    return Denoiser(network, schedule, FlowVelocity(schedule), FixedSmall())


def reflow(teacher: Denoiser, steps: int = 200) -> Reflow:
    return Reflow(Uniform(), Unweighted(), teacher, Heun(UniformGrid(steps), along=Time()))


@pytest.mark.parametrize("sampler", [LogitNormal(), LogitNormal(-0.5, 0.7), Mode(), Mode(-0.8), CosineMap()])
def test_times_rise_with_u_and_stay_within_the_path(sampler):
    t = sampler.quantile(U, LINEAR).t
    assert (t.diff() > 0).all()
    assert t[0] > 0
    assert t[-1] < 1


def test_the_logit_of_a_time_is_normal():
    t = LogitNormal(0.4, 0.8)(ImageNoise(0, torch.arange(20000)), LINEAR).t
    logit = torch.log(t / (1 - t))
    assert abs(float(logit.mean()) - 0.4) < 5 * 0.8 / math.sqrt(20000)
    assert abs(float(logit.std()) / 0.8 - 1) < 0.03


def test_the_mode_sampler_is_the_papers_function_of_the_mirrored_uniform():
    v, s = 1 - U, 1.29
    torch.testing.assert_close(Mode(s).quantile(U, LINEAR).t, 1 - v - s * (torch.cos(math.pi / 2 * v) ** 2 - 1 + v))
    torch.testing.assert_close(Mode(0.0).quantile(U, LINEAR).t, U)
    with pytest.raises(ValueError, match="run back"):
        Mode(1.8)


def test_the_cosine_map_has_the_noise_levels_of_the_cosine_path():
    torch.testing.assert_close(noise_level(LINEAR, CosineMap().quantile(U, LINEAR).t), noise_level(CosinePath(), U))


def test_a_table_gets_its_own_steps():
    from difflab.schedules import cosine

    t = LogitNormal().quantile(U, cosine(50)).t
    torch.testing.assert_close(t * 50, (t * 50).round())


def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    noise = ImageNoise(3, torch.arange(count))
    return 2 + S * noise.normal("data", (2,)), noise.normal("eps", (2,))


def test_transport_comes_nearer_to_the_straight_map_the_larger_the_batch():
    def bent(count):
        x_0, eps = pairs(count)
        return float((x_0 - 2 - S * ExactTransport()(x_0, eps, NOISE)).square().mean())

    x_0, eps = pairs(512)
    independent = float((x_0 - 2 - S * eps).square().mean())  # 2 s^2
    assert independent == pytest.approx(2 * S**2, rel=0.1)
    assert bent(16) < 0.7 * independent
    assert bent(128) < 0.6 * bent(16)
    assert bent(512) < 0.6 * bent(128)


def test_an_image_gets_its_noise_in_whatever_order_the_batch_is():
    x_0, eps = pairs(64)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for coupling, noise in ((ExactTransport(), ImageNoise(0, order)), (EntropicTransport(), ImageNoise(0, order))):
        there = coupling(x_0, eps, NOISE)
        if isinstance(coupling, ExactTransport):
            assert torch.equal(coupling(x_0[order], eps[order], noise), there[order])
        assert {tuple(row) for row in there.tolist()} <= {tuple(row) for row in eps.tolist()}


def test_the_entropic_plan_has_even_margins_and_goes_from_the_assignment_to_independence():
    x_0, eps = pairs(64)
    plan = EntropicTransport(0.05).plan(x_0, eps)
    torch.testing.assert_close(plan.sum(1) * 64, torch.ones(64, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0) * 64, torch.ones(64, dtype=torch.float64), rtol=0.02, atol=0.02)
    assert torch.allclose(EntropicTransport(1e4).plan(x_0, eps) * 64**2, torch.ones(64, 64).double(), atol=0.01)
    distance = squared_distances(x_0[:32], eps[:32])
    best = squared_distances(x_0[:32], ExactTransport()(x_0[:32], eps[:32], NOISE)).diagonal().mean()
    assert float((EntropicTransport(0.002, 500).plan(x_0[:32], eps[:32]) * distance).sum() / best) == pytest.approx(
        1, abs=0.05
    )


def test_coupled_noise_leaves_less_to_average_and_is_the_simple_loss_for_one_image():
    x_0, straight = S * ImageNoise(1, NOISE.number).normal("data", (2,)), model(Straight())
    independent = Simple(Uniform(), Unweighted())(straight, x_0, Condition(), NOISE).total.mean()
    coupled = Coupled(Uniform(), Unweighted(), ExactTransport())
    assert coupled.couples_images
    assert coupled(straight, x_0, Condition(), NOISE).total.mean() < 0.2 * independent
    one = ImageNoise(0, torch.arange(1))
    alone = Simple(Uniform(), Unweighted())(straight, x_0[:1], Condition(), one).total
    torch.testing.assert_close(coupled(straight, x_0[:1], Condition(), one).total, alone)


def test_reflow_of_a_flow_is_straight_and_one_step_follows_it():
    """The teacher, whose marginals are right and whose lines bend, leads eps to s eps; between these the straight velocity has no loss."""
    teacher, straight = model(Flow()), model(Straight())
    x_0 = torch.zeros(64, 2, dtype=torch.float64)
    assert reflow(teacher)(straight, x_0, Condition(), NOISE).total.max() < 1e-6
    assert reflow(teacher)(teacher, x_0, Condition(), NOISE).total.mean() > 0.01
    eps = NOISE.normal("x_T", (2,))
    one_step = Euler(UniformGrid(1), along=Time())
    torch.testing.assert_close(one_step(straight, LINEAR, eps, Condition(), NOISE), S * eps)
    assert one_step(teacher, LINEAR, eps, Condition(), NOISE).abs().max() < 1e-12  # the mean of the data


def test_reflow_refuses_a_teacher_of_another_path_and_a_path_with_signal_at_its_end():
    check = reflow(model(Flow(), CosinePath())).check
    with pytest.raises(
        ValueError, match=r"trained with another schedule \(CosinePath\) than the model has \(LinearPath\)"
    ):
        check(model(Flow()))
    vp = VariancePreserving()
    with pytest.raises(ValueError, match="leaves some signal at t = 1"):
        reflow(model(Flow(), vp)).check(model(Flow(), vp))
    along_levels = Reflow(Uniform(), Unweighted(), model(Flow()), Heun(UniformGrid(4)))
    with pytest.raises(ValueError, match="along=time"):
        along_levels.check(model(Flow()))
    Reflow(Uniform(), Unweighted(), model(Flow()), DDIM(UniformGrid(4))).check(model(Flow()))


def test_a_table_has_no_velocity():
    from difflab.schedules import cosine

    with pytest.raises(ValueError, match="is a table of 1000 steps: use parameterization=velocity"):
        FlowVelocity(cosine(1000))
