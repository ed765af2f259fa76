"""Which weights learn, and at which rate: patterns of their names."""

import re
from functools import partial

import pytest
import torch
from torch.optim import lr_scheduler

from difflab.runs.export import read_exported
from difflab.training.optimization import Learning
from running import SHORT, differences, rewound, saved_state, train_small
from tiny import AtEachStep, fit, tiny_module, weights

SOME = (
    *SHORT,
    "trainable=[network.conv_out.*,network.norm_out.*,network.embedders.*]",
    "lr_scale={network.embedders.*: 10}",
    "lr_schedule=cosine_decay",
)


def moved(module, begun) -> set[str]:
    return {name for name, value in weights(module).items() if not torch.equal(value, begun[name])}


def test_what_does_not_learn_stays_and_is_in_no_optimizer():
    module = tiny_module()
    module.learn(Learning(["network.by_*"]))
    begun = weights(module)
    trainer = fit(module, steps=2)
    learning = {f"denoiser.{name}" for name in Learning().names(module.denoiser)}
    assert moved(module, begun) == learning
    assert {name.split(".")[2] for name in learning} == {"by_class", "by_time"}
    assert sum(len(group["params"]) for group in trainer.optimizers[0].param_groups) == len(learning)
    assert {name: p.grad for name, p in module.named_parameters() if p.grad is not None}.keys() == learning
    assert {f"denoiser.{name}" for name in module.ema.tracks.shadows["fast"]} == learning


def test_a_step_of_gradient_descent_is_as_many_times_as_long():
    """One step of SGD: each weight moves by its multiple of what it moves by otherwise."""
    plain, scaled = tiny_module(), tiny_module()
    scaled.learn(Learning(lr_scale={"*.weight": 3, "network.conv.*": 0.5}))
    begun = weights(plain)
    for module in (plain, scaled):
        fit(module, steps=1)
    for name, value in weights(scaled).items():
        times = 3 if name.endswith("weight") else 0.5 if "conv" in name else 1
        torch.testing.assert_close(
            value - begun[name], times * (weights(plain)[name] - begun[name]), rtol=1e-4, atol=1e-7
        )


@pytest.mark.parametrize(
    "schedule",
    [
        partial(lr_scheduler.ConstantLR, factor=1.0),
        partial(lr_scheduler.CosineAnnealingLR, T_max=4),
        partial(lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.0, total_iters=4),
        partial(lr_scheduler.LinearLR, start_factor=0.001, total_iters=3),
    ],
)
def test_multiples_hold_under_the_schedules_of_conf(schedule):
    module, rates = tiny_module(lr_schedule=schedule), []
    module.learn(Learning(lr_scale={"network.conv.*": 4}))
    watch = AtEachStep(lambda trainer, _: rates.append([g["lr"] for g in trainer.optimizers[0].param_groups]))
    fit(module, [watch], steps=3)
    assert all(rate[1] == pytest.approx(4 * rate[0]) for rate in rates)
    assert rates[0][0] <= 0.1


def test_a_schedule_with_rates_of_its_own_is_refused():
    module = tiny_module(lr_schedule=partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=9, cycle_momentum=False))
    with pytest.raises(ValueError, match="lr_scale: OneCycleLR gives all weights one learning rate of its own"):
        module.learn(Learning(lr_scale={"network.conv.*": 4}))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trainable=[network.embeders.*]", r"trainable: no weight is called network.embeders.\*; did you mean network.embedders"),
        ("lr_scale={network.embeders.*: 2}", "lr_scale: no weight is called network.embeders"),
        ("lr_scale={network.embedders.*: 0}", "=0 must be a number above 0; weights that stay: trainable="),
        ("lr_scale=3", "lr_scale=3 must be keys with values"),
        ("trainable=network", "trainable=network must be a list of texts"),
    ],
)  # fmt: skip
def test_a_wrong_pattern_is_said_before_training(tmp_path, capsys, word, said):
    with pytest.raises(SystemExit):
        train_small(tmp_path, *SHORT, word)
    assert re.search(said, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_run_of_some_weights_goes_on_to_the_bit_and_exports_all(tmp_path):
    whole = train_small(tmp_path / "whole", *SOME)
    assert any("M of them learn" in line for line in whole.printed)
    state = saved_state(whole.run)
    (optimizer,) = state["optimizer_states"]
    first, other = optimizer["param_groups"]
    assert (first["lr_scale"], other["lr_scale"], other["lr"]) == (1.0, 10.0, pytest.approx(10 * first["lr"]))
    rewound(tmp_path / "whole", tmp_path / "again", 2)
    again = train_small(tmp_path / "again", *SOME)
    assert differences(state, saved_state(again.run)) == []
    averaged, online = (read_exported(whole.run.weights / f"{t}.safetensors")[0] for t in ("warm_up", "online"))
    assert averaged.keys() == online.keys()
    equal = {name for name in online if torch.equal(averaged[name], online[name])}
    assert equal >= {
        name for name in online if not name.startswith(("network.conv_out.", "network.norm_out.", "network.embedders."))
    }
    assert not equal & {"network.conv_out.weight", "network.norm_out.weight"}
