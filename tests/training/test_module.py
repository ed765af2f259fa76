"""The module that Lightning trains: its sockets and its checks."""

from functools import partial

import pytest
import torch
from pytorch_lightning import Callback

from difflab.data import GlobalBatches, TrainingStream
from difflab.denoiser import Denoiser
from difflab.guidance import ClassifierFree, Clip
from difflab.noise import ImageNoise
from difflab.objectives import Hybrid
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM, balanced_labels
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.training.callbacks import EMACallback, GuidanceCallback
from difflab.types import Condition, Label
from difflab.variances import FixedSmall
from tiny import AtEachStep, TinyNetwork, fit, simple, tiny_denoiser, tiny_images, tiny_module, weights


def test_lightning_gets_the_very_sockets():
    module = tiny_module()
    seen: list[Callback] = []
    fit(module, [AtEachStep(lambda trainer, _: seen.extend(trainer.callbacks))], steps=1)
    for socket in (module.objective, module.ema, module.guidance):
        assert sum(callback is socket for callback in seen) == 1


def test_sockets_hold_no_trainable_weights():
    module = tiny_module()
    assert {name.split(".")[0] for name, _ in module.named_parameters()} == {"denoiser"}
    assert all(name.startswith("denoiser.") for name in module.state_dict())


@pytest.mark.parametrize("accumulate", [1, 3])
def test_training_is_gradient_descent_on_the_stream(accumulate):
    """Against a loop of our own: SGD on the mean loss of each whole batch, noise from (seed, image number)."""
    module = tiny_module()
    fit(module, steps=4, accumulate=accumulate)

    denoiser, objective, dataset = tiny_denoiser(), simple(), tiny_images()
    stream, batches = TrainingStream(dataset, dataset.num_classes, 0), iter(GlobalBatches(12))
    for _ in range(4):
        batch = stream[next(batches)]
        x_0 = batch.x0.float() / 127.5 - 1
        loss = objective(denoiser, x_0, batch.cond, ImageNoise(0, batch.number)).total.mean()
        gradients = torch.autograd.grad(loss, list(denoiser.parameters()))
        with torch.no_grad():
            for p, gradient in zip(denoiser.parameters(), gradients, strict=True):
                p -= 0.1 * gradient
    torch.testing.assert_close(weights(module.denoiser), weights(denoiser), rtol=1e-5, atol=1e-7)


def test_another_seed_is_another_training():
    one, other = tiny_module(), tiny_module(seed=1)
    fit(one, steps=2)
    fit(other, steps=2)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


class Dropping(TinyNetwork):
    def forward(self, x, time, cond):
        return super().forward(torch.dropout(x, 0.5, self.training), time, cond)


def dropping_module():
    torch.manual_seed(0)
    return tiny_module(denoiser=Denoiser(Dropping(), cosine(20), Epsilon(), FixedSmall()))


def test_dropout_goes_on_as_if_nothing_had_happened(tmp_path):
    """Another state of torch's generator, as after a restart, and evaluations in between change no draw."""
    whole = dropping_module()
    fit(whole, steps=6)
    fit(dropping_module(), steps=3).save_checkpoint(tmp_path / "three.ckpt")
    rest = dropping_module()
    torch.manual_seed(12345)
    fit(rest, [AtEachStep(lambda *_: torch.rand(7))], steps=6, checkpoint=tmp_path / "three.ckpt")
    torch.testing.assert_close(rest.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_dropout_differs_from_step_to_step_and_from_seed_to_seed():
    masks: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for seed, drawn in masks.items():
        module = tiny_module(seed=seed)
        fit(module, [AtEachStep(lambda *_, drawn=drawn: drawn.append(torch.rand(20)))], steps=3)
    together = torch.stack([*masks[0], *masks[1]])
    assert len({tuple(row.tolist()) for row in together}) == 6


def test_the_learning_rate_schedule_advances_with_optimizer_steps():
    def halving(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    module, rates = tiny_module(lr_schedule=halving), []
    watch = AtEachStep(lambda trainer, _: rates.append(trainer.optimizers[0].param_groups[0]["lr"]))
    fit(module, [watch], steps=3, accumulate=2)
    assert rates == [0.1, 0.05, 0.05, 0.025, 0.025, 0.0125]


def test_frozen_weights_stay():
    module = tiny_module()
    module.denoiser.network.by_time.requires_grad_(False)  # type: ignore[union-attr]
    before = weights(module.denoiser)
    fit(module, steps=2)
    changed = {name for name, value in weights(module.denoiser).items() if not torch.equal(value, before[name])}
    assert changed == {"network.conv.weight", "network.conv.bias", "network.by_class.weight"}
    assert "network.by_time.weight" not in module.ema.tracks.shadows["fast"]


def drawn(module, seeds) -> torch.Tensor:
    seeds = torch.tensor(list(seeds))
    return module.sample(seeds, balanced_labels(seeds, module.num_classes))


def test_an_image_depends_on_its_seed_alone():
    module = tiny_module(guidance=GuidanceCallback({"cfg": ClassifierFree(2.0), "clip": Clip()}), condition_dropout=0.1)
    with torch.no_grad():
        together, one = drawn(module, [5, 3, 7]), drawn(module, [3])
    torch.testing.assert_close(together[1:2], one, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=0.05)


def test_samples_are_guided_and_of_balanced_classes():
    """The sampler is given the guided denoiser, and image i the class i mod K."""
    asked = []

    class Spy(Clip):
        def __call__(self, denoise):
            inner = super().__call__(denoise)

            def spied(x_t, t, cond: Condition, /):
                asked.append(Label.of(cond).number)
                return inner(x_t, t, cond)

            return spied

    module = tiny_module(guidance=GuidanceCallback({"spy": Spy()}))
    with torch.no_grad():
        images = drawn(module, range(4, 9))
    assert images.abs().max() <= 1
    assert len(asked) == 4
    assert all(label.tolist() == [1, 2, 0, 1, 2] for label in asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": DDIM(UniformGrid(21))}, "21"),
        ({"objective": Hybrid(Uniform(), Unweighted())}, "variance"),
        ({"guidance": GuidanceCallback({"cfg": ClassifierFree(2.0)})}, "condition_dropout"),
    ],
)
def test_parts_that_do_not_fit_are_refused_at_construction(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_module(**changes)


def test_no_average_is_no_special_case():
    module = tiny_module(ema=EMACallback({}))
    fit(module, steps=2)
    assert module.ema.tracks.names == ["online"]
    with module.ema.applied_to(module.denoiser, "online"):
        pass


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_gradient_is_clipped_in_every_precision(precision):
    """Lightning refuses it in bfloat16 for optimizers of one kernel, which every default of torch's has."""
    module = tiny_module(optimizer=partial(torch.optim.SGD, lr=1.0))
    before = weights(module.model)
    fit(module, steps=1, precision=precision, gradient_clip_val=0.05)
    change = torch.stack([(after - before[name]).norm() for name, after in weights(module.model).items()])
    assert float(change.norm()) == pytest.approx(0.05, rel=1e-3)
