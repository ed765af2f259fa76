"""Rows of a study are resolved as train.py resolves them, and soon."""

import json
from functools import cache
from typing import Any

import pytest
from omegaconf import OmegaConf

import running
from difflab.config import resolve as resolving
from difflab.config.keys import ConfigError
from difflab.config.resolve import resolve_row
from difflab.config.resolved import with_seed
from difflab.config.unchosen import drop_unchosen

ROWS = [
    ("+experiment=cosine_adagn",),
    ("+experiment=iddpm/cifar10/linear_simple_T4000", "network.dropout=0.3", "schedule.steps=100"),
    ("+experiment=iddpm/cifar10/linear_simple_T4000", "sampler.grid.steps=25"),
    ("+experiment=iddpm/cifar10/linear_simple_T4000", "sampler.grid.steps=ddim25", "run.name=a/b"),
    ("+experiment=cosine_adagn", "network.channel_mult=[1,1,2]", "network.attention_resolutions=[]", "logger=none"),
    ("+experiment=cosine_adagn", "eval.tracks=[online]", "data.seed=5", "trainer.max_time='00:00:10:00'"),
    ("+experiment=cosine_adagn", "ema=[power_function]", "schedule=linear", "network/norm=addgn"),
    ("+experiment=cosine_adagn", "ema=none", "embedder=none", "data.num_classes=0", "~optimizer.weight_decay"),
    ("+experiment=cosine_adagn", "schedule.steps=30", "network.width=${schedule.steps}"),
    ("+experiment=adm/table1/combined", "+shrink=tiny", "optimizer.lr=1e-3", "network.dropout=0"),
    ("schedule=linear", "trainer.max_steps=10"),
]


@cache
def trained(*overrides: str) -> Any:
    config = running.composed("train", *overrides)
    drop_unchosen(config)
    return OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_a_row_is_what_train_would_run_and_so_is_another_seed(row, monkeypatch):
    resolved = resolve_row([*row, "seed=3"])
    before = json.dumps(resolved.config)
    assert before == json.dumps(trained(*row, "seed=3"))
    with monkeypatch.context() as patch:
        patch.setattr(resolving, "compose_or_explain", None)
        assert with_seed(resolved, 7) == trained(*row, "seed=7")
        assert json.dumps(resolve_row([*row, "seed=3"]).config) == before, "from what is kept of the first time"
    assert json.dumps(resolved.config) == before


def test_a_value_in_place_of_the_seed_does_not_hide_the_seed_of_later_rows():
    """Whichever row of a choice comes first."""
    resolving._composition.cache_clear()
    row = ("+experiment=cosine_adagn",)
    assert with_seed(resolve_row([*row, "data.seed=5"]), 7) == trained(*row, "data.seed=5", "seed=7")
    assert with_seed(resolve_row(row), 7) == trained(*row, "seed=7")


def test_references_are_told_from_values():
    row = ("+experiment=iddpm/cifar10/linear_simple_T4000",)
    derived = resolve_row(row).derived
    assert derived["sampler.grid.steps"] == "${schedule.steps}"
    assert derived["network.embedders"] == "${embedder}"
    assert derived["data.seed"] == "${seed}"
    assert "network.dropout" not in derived
    assert not [key for key in derived if key.startswith("module")]
    assert "sampler.grid.steps" not in resolve_row([*row, "sampler.grid.steps=25"]).derived


def test_rows_that_choose_the_same_parts_are_composed_once(monkeypatch):
    resolving._composition.cache_clear()
    whole, calls = resolving.compose_or_explain, []

    def counting(name, overrides):
        calls.append(overrides)
        return whole(name, overrides)

    monkeypatch.setattr(resolving, "compose_or_explain", counting)
    for width in range(8, 80, 8):
        resolve_row(["+experiment=cosine_adagn", f"network.width={width}", "eval.tracks=[online]", f"seed={width}"])
    assert calls == [["+experiment=cosine_adagn"], []]  # and the base, to check keys against


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["+experiment=cosine_adagn", "network.widht=8"], r"unknown key 'network.widht': .* did you mean 'width'\?"),
        (
            ["+experiment=cosine_adgn"],
            r"experiment=cosine_adgn: no such choice; did you mean 'cosine_ad.*gn'\?",
        ),
        (["+experiment=cosine_adagn", "schedule=cosin"], r"did you mean 'cosine'\?"),
        (["+experiment=cosine_adagn", "+network.norm.foo=1"], r"unknown key 'network.norm.foo'"),
        (["+experiment=cosine_adagn", "network.width=8,16"], r"width"),
        (["network.width"], r"'network.width' cannot be read as key=value"),
        (["network.width=???"], r"network.width must be given"),
        (["data.batch_size=${oc.env:NO_SUCH_VARIABLE}"], r"NO_SUCH_VARIABLE"),
        (["seed=one"], r"seed=one must be a whole number, at least 0"),
        (["seed=true"], r"seed=true must be a whole number, at least 0"),
        (["run.name=run-${seed}"], r"run.name is computed from the seed in another way"),
    ],
)
def test_a_row_that_cannot_be_run(row, told):
    with pytest.raises(ConfigError, match=told) as caught:
        resolve_row(row)
    assert "\n" not in str(caught.value)
