"""The loss, what is logged of it, and what the time sampler learns of it."""

import pytest
import torch

from difflab.data import GlobalBatches, TrainingStream
from difflab.noise import ImageNoise
from difflab.objectives import Simple
from difflab.objectives.time_samplers import LossSecondMoment, TimeSampler
from difflab.objectives.weightings import Unweighted
from difflab.training.callbacks import ObjectiveCallback
from difflab.types import NULL_LABEL, Condition, Label, Losses
from tiny import CLASSES, Rows, fit, losses_of, simple, tiny_denoiser, tiny_images, tiny_module


class Recorded(Simple):
    """The simple objective, and what it was asked and said."""

    def __init__(self, time_sampler: TimeSampler):
        super().__init__(time_sampler, Unweighted())
        self.calls: list[tuple[torch.Tensor, Condition, Losses]] = []

    def __call__(self, denoiser, x_0, cond, noise):
        losses = super().__call__(denoiser, x_0, cond, noise)
        self.calls.append((noise.number, cond, losses))
        return losses


def recorded(time_sampler: TimeSampler | None = None) -> Recorded:
    return Recorded(time_sampler or simple().time_sampler)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_log_holds_means_over_the_interval_and_the_quarters_of_time(accumulate):
    objective, rows = recorded(), Rows()
    fit(tiny_module(objective, log_every=2), steps=6, accumulate=accumulate, logger=rows)
    assert list(rows.rows) == [2, 4, 6]
    for i, row in enumerate(rows.rows.values()):
        calls = objective.calls[2 * accumulate * i : 2 * accumulate * (i + 1)]
        t = torch.cat([losses.t for _, _, losses in calls])
        loss = torch.cat([losses.terms["loss"] for _, _, losses in calls]).detach().double()
        assert len(loss) == 24
        assert row["train/loss"] == pytest.approx(loss.mean().item(), rel=1e-9)
        for quarter in range(4):
            inside = (t > quarter / 4) & (t <= (quarter + 1) / 4)
            name = f"train/loss_q{quarter + 1}"
            assert (name in row) == bool(inside.any())
            if inside.any():
                assert row[name] == pytest.approx(loss[inside].mean().item(), rel=1e-9)


def test_the_interval_survives_a_checkpoint(tmp_path):
    """Interrupted in the middle of an interval of the log, the line is that of the uninterrupted run."""
    whole, cut, rest = Rows(), Rows(), Rows()
    fit(tiny_module(log_every=4), steps=8, logger=whole)
    fit(tiny_module(log_every=4), steps=6, logger=cut).save_checkpoint(tmp_path / "six.ckpt")
    fit(tiny_module(log_every=4), steps=8, logger=rest, checkpoint=tmp_path / "six.ckpt")
    assert list(cut.rows) == [4]
    assert rest.rows == {8: whole.rows[8]}


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_the_history_is_that_of_the_whole_batch_in_the_images_order(accumulate):
    """After every optimizer step, against a history that is told of all the step's losses, in the order of the image numbers."""
    sampler, expected = LossSecondMoment(20, history=4), LossSecondMoment(20, history=4)
    objective = recorded(sampler)
    fit(tiny_module(objective), steps=5, accumulate=accumulate)
    assert len(objective.calls) == 5 * accumulate
    numbers = torch.cat([number for number, _, _ in objective.calls])
    assert torch.equal(numbers, torch.arange(60))
    for step in range(5):
        calls = objective.calls[step * accumulate : (step + 1) * accumulate]
        loss = torch.cat([losses.terms["loss"] for _, _, losses in calls]).detach().double()
        expected.update(torch.cat([losses.t for _, _, losses in calls]), loss)
    assert torch.equal(sampler.counts, expected.counts)
    torch.testing.assert_close(sampler.losses, expected.losses, rtol=1e-12, atol=0)


def test_the_history_does_not_change_within_a_step():
    """All micro-batches of a step draw their times from one distribution, as one process with the whole batch does."""
    drawn = []
    for accumulate in (1, 4):
        objective = recorded(LossSecondMoment(20, history=1))
        fit(tiny_module(objective), steps=12, accumulate=accumulate)
        drawn.append(torch.cat([losses.t for _, _, losses in objective.calls]))
        assert (objective.time_sampler.counts == 1).all()  # type: ignore[attr-defined]
    assert torch.equal(drawn[0], drawn[1])
    uniform = recorded()
    fit(tiny_module(uniform), steps=12)
    steps_of_20 = torch.cat([losses.t for _, _, losses in uniform.calls]).sort().values
    assert not torch.equal(drawn[0].sort().values, steps_of_20)


def dropped_with(micro: int, share: float, count: int, seed: int = 0) -> torch.Tensor:
    """[count] whether the class of training image n was dropped, the batches being of `micro` images."""
    objective, dataset = recorded(), tiny_images()
    callback, denoiser = ObjectiveCallback(objective, 1, share), tiny_denoiser()
    stream, batches = TrainingStream(dataset, dataset.num_classes, seed), iter(GlobalBatches(micro))
    for _ in range(count // micro):
        batch = stream[next(batches)]
        x_0 = batch.x0.float() / 127.5 - 1
        losses_of(callback, denoiser, x_0, batch.cond, ImageNoise(seed, batch.number))
        assert Label.of(batch.cond) is not None
        kept = Label.of(objective.calls[-1][1]).number
        assert kept is not None
        untouched = kept != NULL_LABEL
        assert torch.equal(kept[untouched], Label.of(batch.cond).number[untouched])
    return torch.cat([Label.of(cond).number == NULL_LABEL for _, cond, _ in objective.calls])  # type: ignore[operator]


def test_the_stated_share_of_conditions_is_dropped():
    """Binomial: 4800 draws, five standard deviations."""
    for share in (0.1, 0.35):
        dropped = dropped_with(400, share, 4800)
        assert abs(dropped.float().mean().item() - share) < 5 * (share * (1 - share) / 4800) ** 0.5
    assert not dropped_with(400, 0.0, 800).any()
    assert dropped_with(400, 1.0, 800).all()


def test_the_same_examples_are_dropped_in_any_split_of_the_batch():
    whole = dropped_with(120, 0.3, 480)
    assert torch.equal(whole, dropped_with(12, 0.3, 480))
    assert not torch.equal(whole, dropped_with(120, 0.3, 480, seed=1))


def test_dropping_is_independent_of_times_and_classes():
    """Dropped and kept examples have the same mean time (five standard errors), and every class is dropped as often."""
    objective = recorded()
    callback, denoiser = ObjectiveCallback(objective, 1, 0.5), tiny_denoiser()
    number = torch.arange(3000)
    label = number % CLASSES
    losses_of(callback, denoiser, torch.zeros(3000, 1, 4, 4), Condition(label=Label(label)), ImageNoise(0, number))
    _, cond, losses = objective.calls[0]
    dropped = Label.of(cond).number == NULL_LABEL
    difference = losses.t[dropped].mean() - losses.t[~dropped].mean()
    assert abs(difference) < 5 * (1 / 12) ** 0.5 * (4 / 3000) ** 0.5
    for k in range(CLASSES):
        assert abs(dropped[label == k].double().mean() - 0.5) < 5 * 0.5 / 1000**0.5


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_a_probability(share):
    with pytest.raises(ValueError, match=f"{share} is not a probability"):
        ObjectiveCallback(simple(), 1, share)


def test_a_divided_batch_is_refused_where_images_are_coupled():
    objective = simple()
    ObjectiveCallback(objective, 2).check_division(4, 2)
    objective.couples_images = True
    callback = ObjectiveCallback(objective, 2)
    callback.check_division(1, 1)
    for micro_batches, processes in ((2, 1), (1, 2)):
        with pytest.raises(ValueError, match="Simple couples the images of a batch, and would see 2 parts"):
            callback.check_division(micro_batches, processes)
    with pytest.raises(ValueError, match="2 micro-batches on 1 processes"):
        fit(tiny_module(objective), accumulate=2)
