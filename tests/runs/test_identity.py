"""What makes two runs the same run."""

import sys
from functools import cache
from types import ModuleType

import pytest
from omegaconf import OmegaConf

from difflab.former_names import Neutral, _renamed
from difflab.runs import identity
from difflab.runs.identity import _neutral_arguments, course, differ_in_length_alone
from running import SMALL, composed


def identity_of(*overrides: str, data: str = "data", extractor: str = "extractor") -> str:
    config = composed("train", *SMALL, *overrides)
    return identity(OmegaConf.to_container(config, resolve=True), data, extractor)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def own() -> str:
    return identity_of()


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "condition_dropout=0.1",
        "schedule=linear",
        "variance=learned",
        "objective=vlb",
        "objective/time_sampler=loss_second_moment",
        "network.dropout=0.1",
        "network/norm=addgn",
        "ema.warm_up.decay=0.9",
        "guidance=none",
        "sampler=ddpm",
        "optimizer.lr=0.01",
        "trainer.max_steps=13",
        "trainer.precision=bf16-mixed",
        "trainer.gradient_clip_val=1",
        "data.batch_size=64",
        "data.max_images=64",
        "eval.num_samples=41",
    ],
)
def test_what_changes_the_result_is_another_run(own, override):
    assert identity_of(override) != own


def test_every_such_change_is_a_run_of_its_own():
    overrides = ["seed=1", "seed=2", "optimizer.lr=0.01"]
    assert len({identity_of(override) for override in overrides}) == len(overrides)


@pytest.mark.parametrize(
    "override",
    [
        "run.root=elsewhere",
        "run.name=another",
        "logger=[wandb]",
        "trainer.accelerator=gpu",
        "trainer.devices=4",
        "strategy=ddp",
        "trainer.accumulate_grad_batches=2",
        "trainer.log_every_n_steps=7",
        "data.num_workers=3",
        "eval.batch_size=7",
        "checkpoint.every=100",
        "+target.fd_digits.value=1",
    ],
)
def test_where_and_how_it_runs_does_not(own, override):
    assert identity_of(override) == own


def test_the_place_of_the_data_does_not_but_the_data_do():
    folder = ["data=folder", "data.image_size=8", "data.channels=1", "data.num_classes=10"]
    here, there = (identity_of(*folder, f"data.dataset.root=/{place}") for place in ("here", "there"))
    assert here == there
    assert identity_of(data="other pixels") != identity_of()


def test_the_order_of_keys_does_not():
    config = {"a": {"x": 1, "y": 2}, "b": [1, 2]}
    assert identity(config, "d", "e") == identity({"b": [1, 2], "a": {"y": 2, "x": 1}}, "d", "e")
    assert identity(config, "d", "e") != identity({**config, "b": [2, 1]}, "d", "e")


def test_the_order_of_guidances_does():
    """They nest. Runs whose guidances stand in the order of the alphabet keep the identity that they had."""
    nodes = {"clip": {"low": -1}, "classifier": {"scale": 2}}
    turned = dict(reversed(nodes.items()))
    assert identity({"guidance": nodes}, "d", "e") != identity({"guidance": turned}, "d", "e")
    assert identity({"guidance": turned}, "d", "e") == "f9ae445d77"


def test_a_key_is_left_out_by_its_whole_path():
    """`run` is left out at the top, a part's own argument of that name is not."""
    assert identity({"part": {"run": 1}}, "d", "e") != identity({"part": {"run": 2}}, "d", "e")
    assert identity({"run": {"root": 1}}, "d", "e") == identity({"run": {"root": 2}}, "d", "e")


@cache
def config_of(*overrides: str) -> dict:
    return OmegaConf.to_container(composed("train", *SMALL, *overrides), resolve=True)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_steps=13",
        "eval.num_samples=41",
        "eval.every=3",
        "sampler=ddpm",
        "guidance=none",
        "run.root=elsewhere",
    ],
)
def test_the_course_of_a_run_is_the_same_however_long_it_is_and_however_it_is_judged(override):
    assert course(config_of(override), "data", "") == course(config_of(), "data", "")


@pytest.mark.parametrize(
    "override", ["seed=1", "schedule=linear", "network.dropout=0.1", "ema.warm_up.decay=0.9", "optimizer.lr=0.01"]
)
def test_what_changes_the_weights_is_another_course(override):
    assert course(config_of(override), "data", "") != course(config_of(), "data", "")
    assert course(config_of(), "other data", "") != course(config_of(), "data", "")
    assert course(config_of(), "data", "given weights") != course(config_of(), "data", "")


def test_callbacks_that_act_may_act_upon_the_scores():
    acting = "callbacks=[early_stopping]"
    assert course(config_of(acting, "eval.num_samples=41"), "data", "") != course(config_of(acting), "data", "")


def test_a_schedule_as_long_as_training_is_another_course_and_known_as_that():
    short, long = (config_of("lr_schedule=cosine_decay", f"trainer.max_steps={steps}") for steps in (13, 17))
    assert course(short, "data", "") != course(long, "data", "")
    assert differ_in_length_alone(short, long)
    assert not differ_in_length_alone(short, {**long, "seed": 1})
    fixed = [config_of("lr_schedule=cosine_decay", "lr_schedule.T_max=20", f"trainer.max_steps={n}") for n in (13, 17)]
    assert course(fixed[0], "data", "") == course(fixed[1], "data", "")


def test_given_weights_count_by_what_they_are_and_not_by_their_place():
    here, there = (config_of(f"init_from=/{place}") for place in ("here", "there"))
    assert identity(here, "d", "e", {}, "weights") == identity(there, "d", "e", {}, "weights")
    assert identity(here, "d", "e", {}, "others") != identity(here, "d", "e", {}, "weights")
    assert identity(config_of(), "d", "e", {}) == identity(config_of("init_from=none"), "d", "e", {})


def test_a_new_argument_with_a_neutral_default_is_entered_nowhere(monkeypatch):
    """A part of difflab's gets an argument: with its default the run is the one of before, with another value it is not."""

    class Before:
        def __init__(self, width: int):
            """A part."""

    class After:
        def __init__(self, width: int, tilt: Neutral[float] = 0.0, depth: int = 2):
            """The part with a neutral argument, and with one that is not."""

    module = ModuleType("difflab.a_part")
    module.Before, module.After = Before, After  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def named(name: str, **arguments: object) -> str:
        node = {"_target_": f"difflab.a_part.{name}", "width": 3, **arguments}
        config = {"seed": 0, "network": node, "module": {"network": node}, "trainer": {"max_steps": 1}}
        return identity(_renamed(config, {f"difflab.a_part.{name}": "difflab.a_part.After"}), "data", "judge", {})

    _neutral_arguments.cache_clear()
    before = named("Before")
    assert named("After", tilt=0.0) == before
    assert named("After", tilt=0.5) != before
    assert named("After", depth=2) != before, "no neutral default: it says something"
    module.Before = module.After = dict  # type: ignore[attr-defined]
    _neutral_arguments.cache_clear()
    assert named("After", tilt=0.0) != before, "it is the mark in the signature that tells it"
    _neutral_arguments.cache_clear()


def test_a_new_group_of_which_nothing_is_chosen_is_entered_nowhere():
    config = {"seed": 0, "guidance": {}, "trainer": {"max_steps": 1}}
    before = identity(config, "data", "judge", {})
    assert {identity(config | {"new": empty}, "data", "judge", {}) for empty in ({}, "", None, [])} == {before}
    assert identity(config | {"new": {"_target_": "x"}}, "data", "judge", {}) != before
    assert identity({"seed": 0, "trainer": {"max_steps": 1}}, "data", "judge", {}) != before
