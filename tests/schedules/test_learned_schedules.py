"""Schedules that learn: gradients reach their weights, and whoever asks for values gets those of the weights as they are now."""

import copy
from functools import partial

import pytest
import torch

from difflab.denoiser import Denoiser
from difflab.guidance import ClassifierFreeOverTime, ScoreAtPrediction
from difflab.guidance.scores import ChannelMeans
from difflab.guidance.shapes import NoiseLevelInterval
from difflab.noise import ImageNoise
from difflab.objectives import VLB, Hybrid, Simple, prior_bits
from difflab.objectives.time_samplers import LossSecondMoment, Uniform
from difflab.objectives.weightings import SNR
from difflab.parameterizations import Epsilon, PreviousX
from difflab.samplers import DDIM, DDPM, Euler, Heun, draw
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.schedules import Chain, NoiseSchedule, cosine, own_chain
from difflab.training import DiffusionModule
from difflab.training.callbacks import GuidanceCallback
from difflab.types import Condition, Label
from difflab.variances import FixedLarge, FixedSmall, LearnedRange
from learned import LearnedSchedule, UncertainHybrid
from tiny import CLASSES, TinyNetwork, fit, tiny_module, weights

OBJECTIVES = {
    "simple": (lambda: Simple(Uniform(), SNR()), FixedLarge),
    "vlb": (lambda: VLB(Uniform()), FixedLarge),
    "hybrid": (lambda: Hybrid(Uniform(), SNR(), 0.001), LearnedRange),
    "uncertain": (lambda: UncertainHybrid(Uniform(), SNR(), 0.001), LearnedRange),
}
SAMPLERS = {
    "ddpm": lambda: DDPM(UniformGrid(8), FixedLarge()),
    "ddim": lambda: DDIM(UniformGrid(8), eta=0.5),
    "euler": lambda: Euler(UniformGrid(8), s_churn=2.0),
    "heun": lambda: Heun(KarrasGrid(8, sigma_min=0.2, sigma_max=5.0)),
}


class Wide(TinyNetwork):
    """The same, which speaks of the variance too."""

    def __init__(self):
        super().__init__()
        self.out_channels = 2

    def forward(self, x, time, cond):
        return super().forward(x, time, cond).expand(-1, 2, -1, -1)


def learned_module(name: str = "simple", **changes) -> DiffusionModule:
    objective, variance = OBJECTIVES[name]
    torch.manual_seed(0)
    network = Wide() if variance is LearnedRange else TinyNetwork()
    denoiser = Denoiser(network, LearnedSchedule(20), Epsilon(), variance())
    return tiny_module(objective(), denoiser=denoiser, optimizer=partial(torch.optim.SGD, lr=1e-3), **changes)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_moves_the_schedule(name):
    """Two steps: a kept chain would be that of the weights before the first, and its graph is gone after it."""
    module = learned_module(name)
    before = weights(module.denoiser.schedule)  # type: ignore[arg-type]
    chain = own_chain(module.denoiser.schedule)
    trainer = fit(module, steps=2)
    for key, value in weights(module.denoiser.schedule).items():  # type: ignore[arg-type]
        assert not torch.equal(value, before[key]), key
    assert trainer.global_step == 2
    now = own_chain(module.denoiser.schedule)
    fresh = Chain(copy.deepcopy(module.denoiser.schedule), now.times)
    assert not torch.equal(chain.level.alpha, now.level.alpha)
    assert torch.equal(now.level.alpha, fresh.level.alpha)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_follow_the_weights(name):
    module, sampler = learned_module(), SAMPLERS[name]()
    seeds, cond = torch.arange(4), Condition(label=Label(torch.arange(4) % CLASSES))

    def drawn(denoiser):
        return draw(denoiser, denoiser.schedule, sampler, denoiser.image_shape, seeds, cond)

    before = drawn(module.denoiser)
    fit(module, steps=2)
    after = drawn(module.denoiser)
    assert not torch.equal(after, before)
    assert torch.equal(after, drawn(copy.deepcopy(module.denoiser)))


def test_the_gradient_of_the_bound_is_that_of_a_chain_built_by_hand():
    """By finite differences along both weights, through own_chain."""
    module = learned_module("vlb")
    schedule, noise = module.denoiser.schedule, ImageNoise(0, torch.arange(6))
    assert isinstance(schedule, LearnedSchedule)
    schedule.double()
    module.denoiser.network.double()
    x_0 = torch.tanh(noise.normal("x_0", (1, 4, 4)))

    def bound():
        return module.objective.objective(
            module.denoiser, x_0, Condition(label=Label(torch.arange(6) % CLASSES)), noise
        ).total.mean()

    bound().backward()
    for p in schedule.parameters():
        for i in range(p.numel()):
            flat, grad, h = p.data.view(-1), p.grad.view(-1)[i], 1e-5  # type: ignore[union-attr]
            flat[i] += h
            above = float(bound())
            flat[i] -= 2 * h
            below = float(bound())
            flat[i] += h
            assert float(grad) == pytest.approx((above - below) / (2 * h), rel=1e-4, abs=1e-7)


def test_the_hybrid_objective_has_the_end_of_the_bound():
    """Without its term at t = 1 a schedule would learn to leave the image in the noise; no importance of a time divides it."""
    module, weight = learned_module("hybrid"), 0.25
    schedule, noise = module.denoiser.schedule, ImageNoise(0, torch.arange(8))
    assert isinstance(schedule, LearnedSchedule)
    schedule.ends.data[1] = -1.0
    x_0, cond = torch.tanh(noise.normal("x_0", (1, 4, 4))).float(), Condition(label=Label(torch.arange(8) % CLASSES))
    sampler = LossSecondMoment(20, history=1)
    sampler.update(torch.arange(1, 21).double() / 20, torch.arange(1, 21).double())
    losses = Hybrid(sampler, SNR(), weight)(module.denoiser, x_0, cond, noise)
    importance = sampler(noise, schedule).weight
    assert (importance != 1).all()
    prior = prior_bits(x_0, own_chain(schedule))
    assert prior.min() > 0.05
    torch.testing.assert_close(losses.terms["prior"], prior)
    rest = importance.float() * losses.terms["loss"]
    torch.testing.assert_close(losses.total, rest + weight * prior)
    (found,) = torch.autograd.grad((losses.total - rest).sum(), schedule.ends, retain_graph=True)
    (wanted,) = torch.autograd.grad(weight * prior.sum(), schedule.ends)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert found[1] > 0.1
    fixed = Denoiser(module.denoiser.network, cosine(20), Epsilon(), LearnedRange())
    assert "prior" not in Hybrid(sampler, SNR(), weight)(fixed, x_0, cond, noise).terms


def test_a_fixed_schedule_is_still_asked_once():
    schedule = cosine(20)
    assert schedule.is_fixed
    assert own_chain(schedule) is own_chain(schedule)
    assert not LearnedSchedule(20).is_fixed
    assert not LearnedSchedule(20).requires_grad_(False).is_fixed  # weights that are put in place by an average


def test_a_schedule_around_one_that_learns_is_not_kept_either():
    """And is refused where the model would not find the weights."""

    class Around(NoiseSchedule):
        def __init__(self, inner):
            self.inner, self.steps = inner, inner.steps

        def __call__(self, t):
            return self.inner(t)

        def network_time(self, t):
            return self.inner.network_time(t)

        def time(self, u):
            return self.inner.time(u)

    around = Around(LearnedSchedule(20))
    assert not around.is_fixed
    assert own_chain(around) is not own_chain(around)
    assert Around(cosine(20)).is_fixed
    with pytest.raises(
        ValueError, match=r"Around holds a schedule that learns, whose weights the model would not find"
    ):
        Denoiser(TinyNetwork(), around, Epsilon(), FixedSmall())


def test_an_objective_with_weights_is_trained_averaged_and_saved():
    module = learned_module("uncertain")
    trainer = fit(module, steps=2)
    assert float(module.denoiser.get_parameter("objective.u")) != 0.5
    assert {"denoiser.objective.u", "denoiser.schedule.ends", "denoiser.schedule.bend"} <= module.state_dict().keys()
    assert {"objective.u", "schedule.ends", "schedule.bend"} <= module.ema.tracks.whole("fast").keys()
    (optimizer,) = trainer.optimizers
    assert len(optimizer.state_dict()["param_groups"][0]["params"]) == len(list(module.denoiser.parameters()))


def test_copies_of_a_schedule_that_learns_are_refused():
    own, copied = LearnedSchedule(20), LearnedSchedule(20)
    Denoiser(TinyNetwork(), own, PreviousX(own), FixedLarge())
    with pytest.raises(ValueError, match=r"parameterization\.schedule is a copy of a schedule that learns"):
        Denoiser(TinyNetwork(), own, PreviousX(copied), FixedLarge())
    denoiser = Denoiser(TinyNetwork(), own, Epsilon(), FixedLarge())
    score = ChannelMeans([0.0], 1.0)
    GuidanceCallback({"x": ScoreAtPrediction(score, own, 2.0, 0.5)}).check_model(denoiser, CLASSES)
    with pytest.raises(ValueError, match=r"guidance\.x\.schedule is a copy"):
        GuidanceCallback({"x": ScoreAtPrediction(score, copied, 2.0, 0.5)}).check_model(denoiser, CLASSES)
    interval = ClassifierFreeOverTime(2.0, NoiseLevelInterval(0.1, 1.0, copied))
    with pytest.raises(ValueError, match=r"guidance\.x\.shape\.schedule is a copy"):
        GuidanceCallback({"x": interval}).check_model(denoiser, CLASSES)
    GuidanceCallback({"x": ScoreAtPrediction(score, cosine(20), 2.0, 0.5)}).check_model(denoiser, CLASSES)
