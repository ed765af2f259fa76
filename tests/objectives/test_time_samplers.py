"""Time samplers: the distributions, the importance weights, the history."""

import numpy as np
import pytest
import torch
from feeds import SuppliedNoise
from guided import GOLDEN

from difflab.noise import ImageNoise
from difflab.objectives.time_samplers import Antithetic, LogNormal, LossSecondMoment, Stratified, Uniform
from difflab.schedules import ContinuousCosine, cosine

CONTINUOUS, TABLE = ContinuousCosine(32, 32), cosine(50)
PEER = np.load(GOLDEN / "gd_resample.npz")


def history(updates):
    """The sampler after so many of the golden updates of 4 losses each."""
    sampler, random = LossSecondMoment(50), np.random.RandomState(61)
    for _ in range(updates):
        steps = random.randint(0, 50, 4)
        losses = abs(random.randn(4)) * (1 + steps / 10)
        sampler.update(torch.from_numpy((steps + 1) / 50), torch.from_numpy(losses))
    return sampler


@pytest.mark.parametrize("sampler", [Uniform(), Antithetic(), Stratified(64), LossSecondMoment(50)])
def test_times_are_uniform_over_the_steps(sampler):
    t, weight = sampler(ImageNoise(0, torch.arange(64 * 400)), TABLE)
    counts = torch.bincount(TABLE.network_time(t).long(), minlength=50).numpy()
    assert (weight == 1).all()
    assert len(counts) == 50
    assert abs(counts - 512).max() < 5 * np.sqrt(512)


@pytest.mark.parametrize("sampler", [Uniform(), Antithetic(), Stratified(12), LossSecondMoment(50)])
def test_an_image_gets_its_time_on_whichever_process_it_is(sampler):
    whole = sampler(ImageNoise(1, torch.arange(24)), TABLE).t
    assert torch.equal(whole[1::2], sampler(ImageNoise(1, torch.arange(1, 24, 2)), TABLE).t)
    assert torch.equal(whole[9:13], sampler(ImageNoise(1, torch.arange(9, 13)), TABLE).t)


def test_stratified_puts_one_image_into_each_stratum_of_every_batch():
    t = Stratified(32)(ImageNoise(5, torch.arange(32 * 10)), CONTINUOUS).t.reshape(10, 32)
    assert (t.sort(dim=1).values.mul(32).floor() == torch.arange(32)).all()
    assert len(t[:, 0].unique()) == 10


def test_antithetic_pairs_are_mirrored():
    t = Antithetic()(ImageNoise(5, torch.arange(200)), CONTINUOUS).t
    torch.testing.assert_close(t[0::2] + t[1::2], torch.ones(100, dtype=torch.float64), rtol=0, atol=1e-15)
    assert len(t[0::2].unique()) == 100


def test_stratification_reduces_the_variance_of_the_mean_and_does_not_bias_it():
    def mean(sampler):
        return (sampler(ImageNoise(2, torch.arange(16 * 500)), CONTINUOUS).t ** 2).reshape(500, 16).mean(1)

    plain, stratified, antithetic = (mean(s) for s in (Uniform(), Stratified(16), Antithetic()))
    for means in (plain, stratified, antithetic):
        assert abs(means.mean() - 1 / 3) < 4 * means.std() / np.sqrt(500)
    assert stratified.var() < 0.1 * plain.var()
    assert antithetic.var() < 0.5 * plain.var()


@pytest.mark.parametrize("updates", [11, 101, 201, 301, 600])
def test_probabilities_follow_the_peers(updates):
    weights = PEER[f"weights_after_{updates}"]
    np.testing.assert_allclose(history(updates).probabilities(), weights / weights.sum(), rtol=1e-9)


def test_history_is_the_peers():
    sampler = history(600)
    assert bool(PEER["warmed_up"]) == bool((sampler.counts == 10).all())
    np.testing.assert_array_equal(sampler.counts, PEER["loss_counts"])
    np.testing.assert_array_equal(sampler.losses, PEER["loss_history"])


@pytest.mark.parametrize(("kind", "sampler"), [("sample", history(600)), ("uniform", LossSecondMoment(50))])
def test_the_same_uniform_numbers_give_the_peers_draws(kind, sampler):
    """np.random.choice(p=...) inverts the distribution function, as we do."""
    u = np.random.RandomState(62).random_sample(16)
    draw = sampler(SuppliedNoise({"time": u}), TABLE)
    np.testing.assert_array_equal(TABLE.network_time(draw.t), PEER[f"{kind}_seed62/indices"])
    np.testing.assert_allclose(draw.weight, PEER[f"{kind}_seed62/weights"], rtol=1e-5)


def test_a_uniform_number_on_a_boundary_belongs_to_the_step_above():
    u = np.array([0.0, 0.25, 0.5, 0.75])
    t = LossSecondMoment(4)(SuppliedNoise({"time": u}), cosine(4)).t
    assert (
        cosine(4).network_time(t).tolist()
        == [0, 1, 2, 3]
        == np.searchsorted(np.cumsum([0.25] * 4), u, side="right").tolist()
    )


def test_importance_weights_leave_the_mean_over_uniform_times_as_it_is():
    sampler = history(600)
    p = sampler.probabilities()
    loss = torch.arange(1, 51).double() ** 1.5
    draw = sampler(ImageNoise(0, torch.arange(40000)), TABLE)
    assert torch.equal(draw.weight, 1 / (50 * p[TABLE.network_time(draw.t).long()]))
    values = draw.weight * loss[TABLE.network_time(draw.t).long()]
    assert abs(values.mean() - loss.mean()) < 4 * values.std() / 200
    # and that is what it is for: where p is proportional to the loss, the estimate hardly varies
    ideal = LossSecondMoment(50, uniform_share=0.0)
    for _ in range(10):
        ideal.update(torch.arange(1, 51).double() / 50, loss)
    exact = ideal(ImageNoise(0, torch.arange(100)), TABLE)
    torch.testing.assert_close(exact.weight * loss[TABLE.network_time(exact.t).long()], loss.mean().expand(100))


def test_every_step_keeps_a_share_of_uniform_draws():
    sampler = LossSecondMoment(50, history=1, uniform_share=0.1)
    losses = torch.zeros(50, dtype=torch.float64)
    losses[7] = 1
    sampler.update(torch.arange(1, 51).double() / 50, losses)
    p = sampler.probabilities()
    assert p[3].item() == pytest.approx(0.1 / 50)
    assert p[7].item() == pytest.approx(0.9 + 0.1 / 50)


def test_the_state_goes_into_a_checkpoint_and_back_exactly(tmp_path):
    sampler = history(333)
    torch.save(sampler.state_dict(), tmp_path / "state")
    other = LossSecondMoment(50)
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for step in range(20):
        t, loss = (
            torch.tensor([(step % 50 + 1) / 50], dtype=torch.float64),
            torch.tensor([float(step)], dtype=torch.float64),
        )
        sampler.update(t, loss)
        other.update(t, loss)
    assert torch.equal(sampler.probabilities(), other.probabilities())
    noise = ImageNoise(0, torch.arange(100))
    assert torch.equal(sampler(noise, TABLE).t, other(noise, TABLE).t)


@pytest.mark.parametrize(("steps", "kept", "batch"), [(7, 3, 20), (5, 1, 6), (1, 4, 9), (20, 5, 60)])
def test_a_history_is_the_last_losses_of_each_step_in_the_order_of_images(steps, kept, batch):
    """Also where one update has more losses of a step than are kept."""
    sampler, random = LossSecondMoment(steps, kept), np.random.RandomState(0)
    seen = [[] for _ in range(steps)]
    for _ in range(6):
        drawn, losses = random.randint(0, steps, batch), random.rand(batch)
        for step, loss in zip(drawn, losses, strict=True):
            seen[step].append(loss)
        sampler.update(torch.from_numpy((drawn + 1) / steps), torch.from_numpy(losses))
        last = [row[-kept:] for row in seen]
        assert sampler.counts.tolist() == [len(row) for row in last]
        assert sampler.losses.tolist() == [row + [0.0] * (kept - len(row)) for row in last]


def test_a_loaded_history_is_its_own():
    sampler = history(333)
    state = sampler.state_dict()
    other = LossSecondMoment(50)
    other.load_state_dict(state)
    other.update(torch.tensor([1.0], dtype=torch.float64), torch.tensor([1e6], dtype=torch.float64))
    assert torch.equal(sampler.probabilities(), history(333).probabilities())


def test_refusals_teach():
    with pytest.raises(ValueError, match="history of 50 steps, but the schedule has 1000"):
        LossSecondMoment(50).check(cosine(1000))
    with pytest.raises(ValueError, match="no steps"):
        LossSecondMoment(50).check(CONTINUOUS)
    with pytest.raises(ValueError, match="not a probability"):
        LossSecondMoment(50, uniform_share=1.5)
    with pytest.raises(ValueError, match=r"history of 50 steps .* checkpoint"):
        LossSecondMoment(50).load_state_dict(LossSecondMoment(100).state_dict())
    LossSecondMoment(50).check(TABLE)


@pytest.mark.parametrize(
    "sampler", [Uniform(), Antithetic(), Stratified(20_000), LogNormal(-1.0, 1.4)], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize("schedule", [TABLE, CONTINUOUS], ids=["steps", "continuous"])
def test_quantiles_are_those_of_the_draws(sampler, schedule):
    """A two-sample Kolmogorov-Smirnov distance of 20,000 draws is below 2 % (p about 1e-3), and the draws use the quantile itself."""
    draws = sampler(ImageNoise(3, torch.arange(20_000)), schedule).t.sort().values
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    quantiles = sampler.quantile(u, schedule).t
    assert (quantiles.diff() >= 0).all()
    places = torch.linspace(0, 1, 301, dtype=torch.float64)
    shares = [torch.searchsorted(one, places, right=True).double() / 20_000 for one in (draws, quantiles)]
    assert (shares[0] - shares[1]).abs().max() < 0.02
