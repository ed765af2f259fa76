"""Several optimizers in one: each for its weights, as if it stood alone."""

from functools import partial

import pytest
import torch
from torch import nn
from two_processes import needs_deepspeed

from difflab.training import OptimizerPart, Optimizers
from difflab.training.sharding import DeepSpeed
from running import differences
from tiny import AtEachStep, fit, tiny_module, weights

SGD, ADAM = partial(torch.optim.SGD, lr=0.1, momentum=0.9), partial(torch.optim.AdamW, lr=0.01)


def halving(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)


def several(**changes):
    parts = {
        "convolution": OptimizerPart(SGD, ["network.conv.*"], **changes),
        "rest": OptimizerPart(ADAM),
    }
    return partial(Optimizers, parts=parts)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def walk(optimizer: torch.optim.Optimizer, module: nn.Module, steps: int, clip=None) -> None:
    x = torch.linspace(-1, 1, 15).reshape(5, 3)
    for _ in range(steps):
        optimizer.zero_grad()
        (module(x) ** 2).sum().backward()
        if clip:
            clip()
        optimizer.step()


def names_of(module: nn.Module) -> dict[nn.Parameter, str]:
    return {p: name for name, p in module.named_parameters()}


def test_each_steps_as_it_would_alone():
    module, alone = network(), network()
    parts = {"last": OptimizerPart(SGD, ["2.*"], clip=0.05), "first": OptimizerPart(ADAM)}
    walk(Optimizers(list(module.parameters()), parts, names_of(module), fused=False), module, 4)

    both = [SGD(alone[2].parameters()), ADAM(alone[0].parameters())]

    class Both(torch.optim.SGD):
        def step(self, closure=None):
            for optimizer in both:
                optimizer.step()

    clip = partial(nn.utils.clip_grad_norm_, list(alone[2].parameters()), 0.05)
    walk(Both(alone.parameters(), lr=1), alone, 4, clip)
    assert not differences(weights(module), weights(alone))


def test_one_may_take_each_so_many_th_step():
    module, rare = network(), network()
    parts = {"last": OptimizerPart(SGD, ["2.*"], every=3), "first": OptimizerPart(partial(SGD, lr=0.0))}
    optimizer = Optimizers(list(module.parameters()), parts, names_of(module), fused=False)
    walk(optimizer, module, 2)
    assert not differences(weights(module), weights(rare))
    walk(optimizer, module, 1)
    walk(SGD(rare[2].parameters()), rare, 1)
    assert not differences(weights(module), weights(rare))


def test_the_matrices_have_an_optimizer_of_their_own():
    module = network()
    parts = {
        "matrices": OptimizerPart(torch.optim.Muon, dims=2, skip=["0.*"]),
        "rest": OptimizerPart(torch.optim.AdamW),
    }
    optimizer = Optimizers(list(module.parameters()), parts, names_of(module), fused=False, lr=0.5)
    muon, adamw = optimizer.optimizers.values()
    assert [p.shape for p in muon.param_groups[0]["params"]] == [(2, 4)]
    assert [p.dim() for p in adamw.param_groups[0]["params"]] == [2, 1, 1]
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}
    walk(optimizer, module, 2)


def test_each_may_have_its_schedule():
    module, rates = tiny_module(optimizer=several(lr_schedule=halving)), []
    watch = AtEachStep(lambda trainer, _: rates.append([g["lr"] for g in trainer.optimizers[0].param_groups]))
    fit(module, [watch], steps=3, accumulate=2)
    assert rates == [[0.1, 0.01], [0.05, 0.01], [0.05, 0.01], [0.025, 0.01], [0.025, 0.01], [0.0125, 0.01]]


def test_training_goes_on_bit_for_bit(tmp_path):
    def module():
        return tiny_module(optimizer=several(lr_schedule=halving, clip=0.1, every=2))

    whole, rest = module(), module()
    one = fit(whole, steps=6, gradient_clip_val=0.5)
    fit(module(), steps=3, gradient_clip_val=0.5).save_checkpoint(tmp_path / "three.ckpt")
    other = fit(rest, steps=6, gradient_clip_val=0.5, checkpoint=tmp_path / "three.ckpt")
    assert not differences(whole.state_dict(), rest.state_dict())
    for trainer in (one, other):
        assert [len(group["params"]) for group in trainer.optimizers[0].state_dict()["param_groups"]] == [2, 3]
    assert not differences(one.optimizers[0].state_dict(), other.optimizers[0].state_dict())
    assert not differences(whole.ema.tracks.shadows, rest.ema.tracks.shadows)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"a": OptimizerPart(SGD, ["network.conv.*"])},
            r"no part of the optimizer has the weight network\.by_class\.weight",
        ),
        ({"a": OptimizerPart(SGD, ["network.cov.*"])}, r"optimizer\.parts\.a: no weight is called network\.cov\.\*"),
        ({"a": OptimizerPart(SGD), "b": OptimizerPart(ADAM)}, r"optimizer\.parts\.b has no weight"),
        ({"a": OptimizerPart(partial(torch.optim.SGD, lr=-1.0))}, r"optimizer: Invalid learning rate"),
    ],
)
def test_what_cannot_be_is_said_before_training(parts, message):
    with pytest.raises(ValueError, match=message):
        tiny_module(optimizer=partial(Optimizers, parts=parts))


@needs_deepspeed
def test_deepspeed_has_one():
    with pytest.raises(
        ValueError, match=r"strategy=deepspeed_2 has one optimizer for all weights, and Optimizers is several"
    ):
        DeepSpeed({"stage": 2}).check(2, "32-true", Optimizers)
