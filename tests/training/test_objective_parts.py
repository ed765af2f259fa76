"""What an objective brings along: frozen models, averages of the model, state, and modules of its own."""

import pytest
import torch
from torch import Tensor, nn

from difflab.denoiser import Denoiser
from difflab.ema import Average, Constant
from difflab.objectives import Objective, Simple
from difflab.objectives.time_samplers import LossAware, Uniform
from difflab.objectives.weightings import Unweighted
from difflab.training.callbacks import EMACallback
from difflab.types import Losses
from running import differences
from tiny import TinyNetwork, fit, tiny_denoiser, tiny_module, weights


class MeanLoss(LossAware):
    """The decayed mean of the losses of each step."""

    is_loss_aware = True

    def __init__(self):
        self.mean = torch.zeros((), dtype=torch.float64)

    def update(self, t: Tensor, loss: Tensor) -> None:
        self.mean = (self.mean.to(loss.device) + loss.mean()) / 2

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean.cpu()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.mean = state["mean"].clone()


class Distilled(Objective[Denoiser]):
    """The loss relative to its mean, and the distance to a teacher and to an average of the model."""

    def __init__(self, teacher: nn.Module, track: str = "fast"):
        self.time_sampler = Uniform()
        self.simple = Simple(self.time_sampler, Unweighted())
        self.models = {"teacher": teacher}
        self.target = Average(track)
        self.history = MeanLoss()

    def __call__(self, denoiser, x_0, cond, noise):
        losses = self.simple(denoiser, x_0, cond, noise)
        t, x_t = torch.full((len(x_0),), 0.5, dtype=torch.float64), noise.normal("x", tuple(x_0.shape[1:])).to(x_0)
        mine = denoiser(x_t, t, cond).x0
        for other in (self.models["teacher"](x_t, t, cond).x0, self.target(x_t, t, cond).x0):
            losses.terms["loss"] = losses.terms["loss"] + ((mine - other) ** 2).flatten(1).mean(1)
        scale = 1 + self.history.mean.to(x_0)
        return Losses(losses.terms["loss"] / scale, losses.t, losses.terms)

    def check(self, denoiser: Denoiser) -> None:
        pass


class Counting(nn.Module, Objective[Denoiser]):
    """One with a state of its own: a buffer."""

    seen: Tensor

    def __init__(self):
        super().__init__()
        self.simple = Simple(Uniform(), Unweighted())
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, denoiser, x_0, cond, noise):
        self.seen += len(x_0)
        return self.simple(denoiser, x_0, cond, noise)

    def check(self, denoiser: Denoiser) -> None:
        pass


def teacher() -> Denoiser:
    torch.manual_seed(7)
    return tiny_denoiser()


def distilling(**changes):
    return tiny_module(Distilled(teacher()), **changes)


def test_a_teacher_is_frozen_and_stays_outside():
    module = distilling()
    before = weights(module.objective.objective.models["teacher"])
    trainer = fit(module, steps=3)
    after = module.objective.objective.models["teacher"]
    assert not differences(weights(after), before)
    assert not after.training
    assert not any(p.requires_grad for p in after.parameters())
    assert not any("teacher" in name for name in module.state_dict())
    assert not any("teacher" in name for name in module.ema.tracks.shadows["fast"])
    (optimizer,) = trainer.optimizers
    assert len(optimizer.state_dict()["param_groups"][0]["params"]) == len(list(module.denoiser.parameters()))


def test_going_on_is_exact_with_all_of_it(tmp_path):
    whole, rest = distilling(), distilling()
    fit(whole, steps=6, accumulate=2)
    fit(distilling(), steps=3, accumulate=2).save_checkpoint(tmp_path / "three.ckpt")
    fit(rest, steps=6, accumulate=2, checkpoint=tmp_path / "three.ckpt")
    assert float(whole.objective.objective.history.mean) > 0
    assert torch.equal(whole.objective.objective.history.mean, rest.objective.objective.history.mean)
    assert not differences(whole.state_dict(), rest.state_dict())


def test_the_target_is_the_average_as_it_is_in_each_step():
    """With decay 0 the average is the model of the step before: the distance is that of one step, and vanishes in none but the first."""
    seen = []

    class Watched(Distilled):
        def __call__(self, denoiser, x_0, cond, noise):
            x_t, t = torch.ones_like(x_0), torch.full((len(x_0),), 0.5, dtype=torch.float64)
            with torch.no_grad():
                seen.append(float((denoiser(x_t, t, cond).x0 - self.target(x_t, t, cond).x0).abs().max()))
            return super().__call__(denoiser, x_0, cond, noise)

    fit(tiny_module(Watched(teacher()), ema=EMACallback({"fast": Constant(0.0)})), steps=2)
    assert seen == [0.0, 0.0]
    fit(tiny_module(Watched(teacher()), ema=EMACallback({"fast": Constant(0.9)})), steps=2)
    assert seen[2] == 0
    assert seen[3] > 0


def test_a_track_that_is_not_there_is_refused_at_construction():
    with pytest.raises(
        ValueError, match=r"objective\.target = 'slow' is no average of the weights, of which there are fast"
    ):
        tiny_module(Distilled(teacher(), "slow"))


def test_an_objective_that_is_a_module_does_not_own_its_teacher():
    class Owning(Counting):
        def __init__(self):
            super().__init__()
            self.teacher = TinyNetwork()
            self.models = {"teacher": self.teacher}

    with pytest.raises(ValueError, match=r"objective\.teacher is a part of the model that is trained"):
        tiny_module(Owning())


def test_a_buffer_of_an_objective_is_its_state(tmp_path):
    whole, rest = tiny_module(Counting()), tiny_module(Counting())
    fit(whole, steps=4)
    fit(tiny_module(Counting()), steps=2).save_checkpoint(tmp_path / "two.ckpt")
    fit(rest, steps=4, checkpoint=tmp_path / "two.ckpt")
    assert int(rest.state_dict()["denoiser.objective.seen"]) == int(whole.objective.objective.seen) == 48


def test_a_checkpoint_of_another_objective_is_refused(tmp_path):
    fit(tiny_module(), steps=2).save_checkpoint(tmp_path / "two.ckpt")
    with pytest.raises(ValueError, match=r"no state of the objective's part 'history'"):
        fit(distilling(), steps=4, checkpoint=tmp_path / "two.ckpt")
