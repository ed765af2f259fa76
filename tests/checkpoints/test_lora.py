"""A run that learns low-rank updates of another run's weights."""

import importlib.util

import pytest
import torch

from difflab.checkpoints.load import load_model
from difflab.runs.export import read_exported
from running import SHORT, differences, rewound, saved_state, train_small

needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")
LORA = (*SHORT, "adapter=lora", "adapter.r=2", "optimizer.lr=0.01")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("base"), *SHORT, "run.name=base").run


@needs_peft
def test_a_run_with_an_adapter_keeps_the_base_and_is_exported_merged(base, tmp_path):
    given = f"init_from={base.path}"
    outcome = train_small(tmp_path / "whole", *LORA, given, "trainable=[network.conv_out.*]")
    run, state = outcome.run, saved_state(outcome.run)
    assert any("M of them learn" in line for line in outcome.printed)
    taken = read_exported(base.weights / "warm_up.safetensors")[0]
    own = {name.removeprefix("denoiser."): value for name, value in state["state_dict"].items()}
    kept = {
        name.replace(".base_layer.", "."): v
        for name, v in own.items()
        if ".lora_" not in name and "conv_out" not in name
    }
    assert all(torch.equal(value, taken[name]) for name, value in kept.items())
    added = [name for name in own if ".lora_" in name]
    assert added
    names = set(state["callbacks"]["EMACallback"]["shadows"]["warm_up"])
    assert names == {*added, "network.conv_out.weight", "network.conv_out.bias"}
    assert any(bool(own[name].any()) for name in added if ".lora_B." in name), "it has learned"
    # files for others have the names and shapes of a model without adapter, and compute what the checkpoint does
    merged = read_exported(run.weights / "online.safetensors")[0]
    assert {name: value.shape for name, value in merged.items()} == {name: value.shape for name, value in taken.items()}
    read = load_model(str(run.checkpoints / "step-00000004.ckpt"), "online", None, None).denoiser.state_dict()
    assert differences({name: read[name] for name in merged}, merged) == []
    assert load_model(str(run.weights / "warm_up.safetensors"), None, None, None).weights_sha256
    rewound(tmp_path / "whole", tmp_path / "again", 2)
    again = train_small(tmp_path / "again", *LORA, given, "trainable=[network.conv_out.*]")
    assert differences(state, saved_state(again.run)) == []
    tuned = train_small(tmp_path, *SHORT, f"init_from={run.path}", "init_from.track=online", "optimizer.lr=0")
    assert differences(read_exported(tuned.run.weights / "online.safetensors")[0], merged) == []


def test_an_adapter_without_given_weights_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_small(tmp_path, *LORA)
    assert "add init_from=RUN" in capsys.readouterr().err


def test_a_missing_peft_names_the_extra(base, tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else find(name, *rest))
    with pytest.raises(SystemExit):
        train_small(tmp_path, *LORA, f"init_from={base.path}")
    assert "adapter=lora needs peft: pip install " in capsys.readouterr().err
