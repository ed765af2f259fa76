"""What a loss weighs over log-SNR, against the closed forms of Kingma and Gao 2023 (arXiv 2303.00848, table 1) and of EDM."""

import math

import pytest
import torch

from difflab import parameterizations, schedules
from difflab.explaining.curves import drawn_times, effective_weight
from difflab.explaining.row import Row
from difflab.objectives import VLB, Hybrid, Simple
from difflab.objectives.time_samplers import LogNormal, Uniform
from difflab.objectives.weightings import EDM, SNR, MinSNR, Unweighted
from difflab.pages import Look
from difflab.schedules import ContinuousCosine, VariancePreserving, cosine, linear


def row(schedule, objective, parameterization=None):
    return Row("it", schedule, parameterization or parameterizations.Epsilon(), objective, None)


def weight_of(schedule, objective, parameterization=None):
    one = row(schedule, objective, parameterization)
    return effective_weight(one, drawn_times(one))


def between(curve, low, high):
    kept = (curve.x > low) & (curve.x < high)
    assert kept.sum() > 50
    return curve.x[kept], curve.y[kept]


COSINE = ContinuousCosine(8, 8)


@pytest.mark.parametrize(
    ("parameterization", "weighting", "expected"),
    [
        (parameterizations.Epsilon(), Unweighted(), lambda x: 1 / torch.cosh(x / 2)),
        (parameterizations.Velocity(), Unweighted(), lambda x: 2 * torch.exp(-x / 2)),
        (parameterizations.X0(), Unweighted(), lambda x: torch.exp(-x) / torch.cosh(x / 2)),
        (parameterizations.X0(), SNR(), lambda x: 1 / torch.cosh(x / 2)),
        (parameterizations.Velocity(), MinSNR(5.0), lambda x: (5 * torch.exp(-x)).clamp(max=1) / torch.cosh(x / 2)),
    ],
    ids=["epsilon", "velocity", "x0", "x0 by snr", "min-snr"],
)
@pytest.mark.parametrize("schedule", [COSINE, cosine(4000)], ids=["continuous", "steps"])
def test_a_cosine_weighs_as_in_the_paper(schedule, parameterization, weighting, expected):
    """w = 2 p omega / snr with p = sech(lambda / 2) / (2 pi), and sech(lambda / 2) (1 + 1 / snr) = 2 exp(-lambda / 2)."""
    curve = weight_of(schedule, Simple(Uniform(), weighting), parameterization)
    x, w = between(curve, -6, 5)
    torch.testing.assert_close(w, expected(x) / math.pi, rtol=0.04, atol=0)


def test_the_linear_schedule_weighs_noise_by_the_slope_of_log_snr():
    """For eps-prediction w / 2 = p = -dt / dlambda: with b(t) = beta_min t + beta_d t^2 / 2, lambda = -log(expm1(b))."""
    schedule = VariancePreserving()
    curve = weight_of(schedule, Simple(Uniform(), Unweighted()))
    t = torch.linspace(0.02, 0.99, 200, dtype=torch.float64)
    b = 0.1 * t + 19.9 * t**2 / 2
    slope = (0.1 + 19.9 * t) * torch.exp(b) / torch.expm1(b)
    for at, expected in zip(-torch.log(torch.expm1(b)), 2 / slope, strict=True):
        nearest = (curve.x - at).abs().argmin()
        assert curve.y[nearest].item() == pytest.approx(expected.item(), rel=0.02)


@pytest.mark.parametrize("schedule", [linear(4000), cosine(4000)], ids=["linear", "cosine"])
@pytest.mark.parametrize("parameterization", [parameterizations.Epsilon(), parameterizations.Velocity()])
def test_the_bound_weighs_all_noise_alike(schedule, parameterization):
    """Flat, at 1 / ln 2 since it is in bits; a step of width d counts (exp(d) - 1) / d, which is 1 for many steps."""
    _, w = between(weight_of(schedule, VLB(Uniform()), parameterization), -8, 6)
    torch.testing.assert_close(w * math.log(2), torch.ones_like(w), rtol=0.06, atol=0)
    few = between(weight_of(linear(1000), VLB(Uniform())), -8, 4)[1]
    assert (few * math.log(2) - 1).abs().max() > (
        between(weight_of(linear(4000), VLB(Uniform())), -8, 4)[1] * math.log(2) - 1
    ).abs().max()


def test_the_loss_of_edm_is_its_log_normal():
    """p = N(2.4, 2.4^2) of lambda = -2 ln sigma, and w = 2 p (1 + exp(-lambda) / d^2)."""
    objective = Simple(LogNormal(-1.2, 1.2), EDM(0.5))
    one = row(schedules.EDM(), objective, parameterizations.EDM(0.5))
    drawn = drawn_times(one)
    assert drawn is not None
    curve = effective_weight(one, drawn)
    assert curve is not None
    x, w = between(curve, -3, 8)
    p = torch.exp(-((x - 2.4) ** 2) / (2 * 2.4**2)) / (2.4 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(w, 2 * p * (1 + 4 * torch.exp(-x)), rtol=0.02, atol=0)
    order = torch.argsort(drawn.log_snr)
    assert torch.trapezoid(drawn.density[order], drawn.log_snr[order]).item() == pytest.approx(1, abs=0.01)


def test_a_hybrid_weighs_as_its_simple_part():
    simple, hybrid = (
        weight_of(cosine(1000), one) for one in (Simple(Uniform(), Unweighted()), Hybrid(Uniform(), Unweighted()))
    )
    assert torch.equal(simple.y, hybrid.y)


def test_importance_is_part_of_the_weight_and_not_of_the_density():
    """Times by the losses' second moments, corrected: the density is theirs, the weight that of uniform times."""
    from difflab.objectives.time_samplers import LossSecondMoment

    sampler = LossSecondMoment(steps=100, history=1)
    t = (torch.arange(100).double() + 1) / 100
    sampler.update(t, 1 + 9 * t)
    told, plain = row(linear(100), Simple(sampler, Unweighted())), row(linear(100), Simple(Uniform(), Unweighted()))
    drawn = drawn_times(told)
    assert drawn is not None
    ratio = drawn.density / drawn_times(plain).density
    assert ratio[-1] > 5 * ratio[0]
    a, b = effective_weight(told, drawn), effective_weight(plain, drawn_times(plain))
    torch.testing.assert_close(a.y, b.y, rtol=0.15, atol=0)


def test_a_bound_in_continuous_time_is_told_in_words():
    one = row(COSINE, VLB(Uniform()))
    assert effective_weight(one, drawn_times(one)) is None
    assert "has no steps of its own" in one.notes[0]


def test_an_objective_that_is_no_square_has_no_weight():
    from difflab.explaining.plots import Told, without_weight
    from difflab.objectives import NoisyClassification

    told = Told.of(row(cosine(10), NoisyClassification(Uniform())), Look("row-0", "solid", "circle"))
    assert without_weight([told]) == ["it"]
