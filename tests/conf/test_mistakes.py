"""A mistake in the configuration is one clear line, before any data are touched."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import running
from difflab.cli.train import train
from difflab.config.keys import ConfigError, check_keys, check_nothing_missing, compose_or_explain
from difflab.config.unchosen import drop_unchosen
from one_pass import each

CONF = Path(__file__).parents[2] / "conf"


@each(
    ("override", "told"),
    [
        ("network.widht=64", r"unknown key 'network.widht': .* did you mean 'width'\?"),
        ("sampler.grid.step=10", r"unknown key 'sampler.grid.step': .* did you mean 'steps'\?"),
        ("eval.num_sample=10", r"unknown key 'eval.num_sample': .* did you mean 'num_samples'\?"),
        ("sede=1", r"unknown key 'sede': .* did you mean 'seed'\?"),
        ("schedule=cosin", r"(?s)cosin.*cosine"),
        ("ema=[constnt]", r"ema=constnt: .* did you mean 'constant'\?"),
        ("guidance=[classifer_free,clip]", r"guidance=classifer_free: .* did you mean 'classifier_free'\?"),
        ("network/nrom=adagn", r"nrom"),
    ],
)
@pytest.mark.usefixtures("composed")
def test_a_wrong_key_on_the_command_line(override, told):
    with pytest.raises(ConfigError, match=told) as caught:
        compose_or_explain("train", [override])
    assert "\n" not in str(caught.value)


@each(
    ("command", "overrides", "told"),
    [
        ("sample", ["checkpoint=RUN", "num_sample=20"], r"unknown key 'num_sample': .* did you mean 'num_samples'\?"),
        ("sample", ["checkpoint=RUN", "format=nzp"], r"format=nzp: .* did you mean 'npz'\?"),
        ("sample", ["checkpoint=RUN", "sampler=ddmp"], r"sampler=ddmp: .* did you mean 'ddpm'\?"),
        ("sample", ["checkpoint=RUN", "sampler=ddpm", "sampler.grid.step=3"], r"no 'step'; did you mean 'steps'\?"),
        ("sample", ["sampler.grid.steps=3"], r"no sampler is chosen; choose one as well, sampler=.*\|ddim\|ddpm\|"),
        (
            "sample",
            ["sampler/grid=karras"],
            r"^sampler/grid: no sampler is chosen; .* sampler=.*\|ddim\|((?!one_pass).)*$",
        ),
        ("evaluate", ["sampler/corrector=langevin"], r"choose one as well, sampler=predictor_corrector$"),
        ("sample", ["+sampler/along=time"], r"^sampler/along: no sampler is chosen; .* sampler=euler\|heun$"),
        (
            "sample",
            ["sampler=euler", "+sampler/along=time"],
            r"^\+sampler/along=time: one is chosen already: leave the \+",
        ),
        ("sample", ["checkpoint=RUN", "classes=[1"], r"'classes=\[1' cannot be read"),
        ("sample", ["checkpoint"], r"'checkpoint' cannot be read as key=value"),
        ("evaluate", ["data.dataset.split=test"], r"no data is chosen; choose one as well, data=checkerboard\|"),
        ("evaluate", ["data=cifar10", "data.dataset.splt=test"], r"no 'splt'; did you mean 'split'\?"),
        ("evaluate", ["data=cifar10", "data.dataset.split=test", "num_sample=3"], r"did you mean 'num_samples'\?"),
        ("evaluate", ["metric.frechet.foo=3"], r"metric.frechet has no 'foo'; it has no settings$"),
    ],
)
@pytest.mark.usefixtures("composed")
def test_a_wrong_key_beside_right_ones(command, overrides, told):
    with pytest.raises(ConfigError, match=told) as caught:
        compose_or_explain(command, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("composed")
def test_values_of_a_part_that_was_chosen_are_right():
    assert compose_or_explain("evaluate", ["data=cifar10", "data.dataset.split=test"]).data.dataset.split == "test"


def test_missing_values_are_named_and_references_are_none():
    config = OmegaConf.create({"a": "???", "b": {"c": "???", "d": "${elsewhere}"}, "e": [1, {"f": "???"}]})
    with pytest.raises(ConfigError, match=r"^a, b\.c, e\[1\]\.f must be given: add a=\.\.\. b\.c=\.\.\. "):
        check_nothing_missing(config)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("network: {widht: 64}", r"unknown key 'network.widht': network \(UNet\) .* did you mean 'width'\?"),
        ("schdule: {steps: 4}", r"unknown key 'schdule': .* did you mean 'schedule'\?"),
        ("eval: {evry: 5}", r"unknown key 'eval.evry': .* did you mean 'every'\?"),
        ("sampler: {grid: {setps: 5}}", r"unknown key 'sampler.grid.setps': .*UniformGrid.* did you mean 'steps'\?"),
        ("data: {dataset: {root: x}}", r"unknown key 'data.dataset.root': .*Digits"),
        ("ema: {warm_up: {deacy: 0.9}}", r"unknown key 'ema.warm_up.deacy': .* did you mean 'decay'\?"),
        ("trainer: {max_step: 5}", r"unknown key 'trainer.max_step': .* did you mean 'max_steps'\?"),
        ("schedule: {_target_: difflab.schedules.cosin}", r"schedule._target_: there is no difflab.schedules.cosin"),
    ],
)
def test_a_wrong_key_inside_an_experiment(body, told, tmp_path, composed, base):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n# mine\n{body}\n", encoding="utf-8")
    config = composed(f"hydra.searchpath=[file://{tmp_path}]", "+experiment=mine")
    with pytest.raises(ConfigError, match=told) as caught:
        check_keys(config, base)
    assert "\n" not in str(caught.value)


NO_DATA = ["data=folder", "data.dataset.root=/there/is/nothing/here", "data.image_size=16", "data.num_classes=2"]
NETWORK = ["network.width=32", "network.channel_mult=[1,2]", "network.attention_resolutions=[8]"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["network.out_channels=3"], "needs 6: set network.out_channels=6 or choose another variance"),
        (["trainer.devices=3"], "data.batch_size=128 .* must be a multiple of processes x accumulated batches = 3 x 1"),
        (["trainer.accumulate_grad_batches=5"], r"must be a multiple of .* = 1 x 5 = 5"),
        (["sampler.grid.steps=2000"], "2000 sampling steps out of 1000: set sampler.grid.steps to at most 1000"),
        (["sampler.grid.steps=ddim70"], "no integer stride takes 70 steps out of 1000"),
        (["schedule.steps=100"], "250 sampling steps out of 100"),
        (["objective=simple"], "use objective=hybrid or vlb, or variance=fixed_small"),
        (["variance=fixed_small"], "use variance=learned_range"),
        (["network.attention_resolutions=[4]"], "have the resolutions"),
        (["network.attention.heads.count=3"], "3 attention heads do not divide the 64 channels"),
        ([], "/there/is/nothing/here"),  # and only then the data
    ],
)
def test_parts_that_do_not_fit(overrides, told, tmp_path, capsys):
    config = running.composed("train", *NO_DATA, *NETWORK, f"run.root={tmp_path}/runs", *overrides)
    with pytest.raises(SystemExit) as caught:
        train(config)
    assert caught.value.code == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ")
    assert len(message.splitlines()) == 1
    assert re.search(told, message), message
    assert not (tmp_path / "runs").exists()


def test_the_command_itself_says_it_in_one_line():
    command = [sys.executable, "train.py", "+experiment=cosine_adagn", "netwrok.width=3"]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == "error: unknown key 'netwrok.width': the configuration has no 'netwrok'; did you mean 'network.width'?"
    )
    assert not done.stdout


def test_settings_of_a_deselected_part_go_with_it(composed, base):
    config = composed("+experiment=cosine_adagn", "ema=[power_function]", "guidance=none", "embedder=none")
    drop_unchosen(config)
    check_keys(config, base)
    assert list(config.ema) == ["power_function"]
    assert list(config.guidance) == []


def test_a_misspelt_name_of_a_part_is_found(composed):
    config = composed("+experiment=cosine_adagn", "+ema.warmup.decay=0.9")
    with pytest.raises(ConfigError, match=r"unknown key 'ema.warmup'.*did you mean 'warm_up'"):
        drop_unchosen(config)


def test_a_part_in_a_file_of_the_current_folder_is_told_how_it_is_found(tmp_path, monkeypatch):
    from difflab.config.build import check_callable

    monkeypatch.chdir(tmp_path)
    (tmp_path / "nobodys_callback.py").touch()
    with pytest.raises(
        ConfigError, match=r"nobodys_callback lies in this folder, where Python looks with PYTHONPATH=\."
    ):
        check_callable("nobodys_callback.Hello", "callbacks.mine")
    for elsewhere in ("", "not_there.Hello", 300 * "n" + ".Hello", "difflab.Hello"):
        with pytest.raises(ConfigError, match="there is no") as error:
            check_callable(elsewhere, "callbacks.mine")
        assert "PYTHONPATH" not in str(error.value)


def test_a_part_may_be_named_as_an_earlier_version_named_it(composed):
    config = composed("extractor=digits", "extractor._target_=difflab.metrics.DigitsExtractor")
    with pytest.warns(
        UserWarning,
        match=r"deprecated: extractor\._target_=difflab\.metrics\.DigitsExtractor is difflab\.features\.Dig",
    ):
        drop_unchosen(config)
    assert config.extractor._target_ == "difflab.features.DigitsExtractor"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drop_unchosen(config)
