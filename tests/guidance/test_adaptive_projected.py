"""Adaptive projected guidance: projection, threshold, momentum."""

import pytest
import torch
from guided_kinds import COND, X_T, T, smooth

from difflab.guidance import AdaptiveProjected
from difflab.noise import ImageNoise
from difflab.samplers import DDIM, Heun
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.schedules import cosine
from difflab.types import Condition, Label, Prediction

W = 3.0
SCHEDULE = cosine(1000)


def parts(x_t=X_T, t=T):
    cond, uncond = smooth(x_t, t, COND).x0, smooth(x_t, t, COND.null()).x0
    return cond, cond - uncond


def flat(a, b):
    return (a * b).sum((1, 2, 3))


def test_nothing_is_added_along_the_image():
    cond, d = parts()
    added = AdaptiveProjected(W, 0.0, torch.inf, 0.0)(smooth)(X_T, T, COND).x0 - cond
    along = flat(added, cond) / flat(cond, cond).sqrt()
    assert flat(d, cond).abs().min() > 0.1
    assert along.abs().max() < 1e-12
    # and what is left differs from (w - 1) d by a multiple of the image alone
    rest = (W - 1) * d - added
    torch.testing.assert_close(flat(rest, cond) ** 2, flat(rest, rest) * flat(cond, cond), rtol=1e-12, atol=0)


def test_what_is_added_is_no_longer_than_the_threshold():
    cond, d = parts()
    lengths = flat(d, d).sqrt()
    r = float(lengths.median())
    added = (AdaptiveProjected(W, 1.0, r, 0.0)(smooth)(X_T, T, COND).x0 - cond) / (W - 1)
    torch.testing.assert_close(flat(added, added).sqrt(), lengths.clamp(max=r))
    torch.testing.assert_close(flat(added, d), flat(added, added).sqrt() * lengths)  # not turned


def walk(guided, times):
    with torch.no_grad():
        return [guided(X_T, torch.full((4,), t, dtype=torch.float64), COND).x0 for t in times]


def test_momentum_is_the_sum_of_differences_weighted_by_powers():
    beta, times = -0.5, (0.9, 0.6, 0.2)
    found = walk(AdaptiveProjected(W, 1.0, torch.inf, beta)(smooth), times)
    pairs = [parts(X_T, torch.full((4,), t, dtype=torch.float64)) for t in times]
    for i, (cond, _) in enumerate(pairs):
        d = sum(beta ** (i - j) * pairs[j][1] for j in range(i + 1))
        torch.testing.assert_close(found[i], cond + (W - 1) * d, rtol=1e-12, atol=1e-12)


def test_several_calls_at_one_time_are_one():
    guidance = AdaptiveProjected(W, 0.0, 5.0, -0.5)
    once = walk(guidance(smooth), (0.9, 0.6, 0.2))
    twice = walk(guidance(smooth), (0.9, 0.9, 0.6, 0.6, 0.6, 0.2))
    for i, k in ((0, 1), (1, 2), (1, 4), (2, 5)):
        assert torch.equal(once[i], twice[k])


@pytest.mark.parametrize(
    "sampler",
    [DDIM(UniformGrid(8)), Heun(KarrasGrid(6, 0.05, 20.0, 7.0)), Heun(KarrasGrid(6, 0.05, 20.0, 7.0), s_churn=2.0)],
)
def test_a_trajectory_begins_anew(sampler):
    """The same denoiser for two batches, for a batch of another size, and after a walk that was broken off: as if each were the first."""
    guidance = AdaptiveProjected(W, 0.0, 5.0, -0.7)

    def drawn(guided, seeds):
        noise = ImageNoise(0, seeds)
        x_T = noise.normal("x_T", (3, 4, 4))
        return sampler(guided, SCHEDULE, x_T, Condition(label=Label(seeds % 10)), noise)

    again = guidance(smooth)
    for seeds in (torch.arange(4), torch.arange(4, 8), torch.arange(6), torch.arange(3, 9)):
        assert torch.equal(drawn(again, seeds), drawn(guidance(smooth), seeds))
    steps = sampler.trajectory(
        again,
        SCHEDULE,
        ImageNoise(0, torch.arange(6)).normal("x_T", (3, 4, 4)),
        COND.select([0, 1, 2, 3, 0, 1]),
        ImageNoise(0, torch.arange(6)),
    )
    with torch.no_grad():
        for _ in range(3):
            next(steps)
    assert torch.equal(drawn(again, torch.arange(6)), drawn(guidance(smooth), torch.arange(6)))
    without = AdaptiveProjected(W, 0.0, 5.0, 0.0)(smooth)
    assert not torch.allclose(drawn(again, torch.arange(6)), drawn(without, torch.arange(6)))


def test_two_denoisers_of_one_guidance_share_nothing():
    guidance = AdaptiveProjected(W, 1.0, torch.inf, -0.5)
    first, second = guidance(smooth), guidance(smooth)
    walk(first, (0.9, 0.5))
    assert torch.equal(walk(second, (0.4,))[0], walk(guidance(smooth), (0.4,))[0])


def test_equal_predictions_are_left_as_they_are():
    def same(x_t, t, cond, /):
        return Prediction(torch.zeros_like(x_t))

    assert torch.equal(AdaptiveProjected(W, 0.0, 2.5, -0.5)(same)(X_T, T, COND).x0, torch.zeros_like(X_T))


@pytest.mark.parametrize(("changes", "reason"), [((0.0, 0.0, 0.5), "norm_threshold"), ((0.0, 1.0, -1.0), "momentum")])
def test_what_cannot_be_is_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        AdaptiveProjected(W, *changes)
