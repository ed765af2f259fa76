"""The options of drawing: one list of keys, in plain frozen values, for everybody who asks what may be said of a model's drawing."""

import dataclasses
from pathlib import Path

import pytest

from difflab.config.groups import ConfigError
from difflab.config.options import keys_of, options_of_stages, read_options, stage_words, with_values
from difflab.reading import read_yaml
from difflab.sampling import SamplingOptions
from difflab.sampling.options import PROTOCOL_FIELDS
from running import composed

CONF = Path(__file__).parents[2] / "conf"
OF_THE_COMMAND = {"defaults", "hydra", "out", "trust"}


def test_the_fields_are_the_keys_of_the_command():
    content = read_yaml(CONF / "sample.yaml")
    groups = {key for default in content["defaults"] if isinstance(default, dict) for key in default}
    keys = {*content, *(group for group in groups if not group.startswith("override"))} - OF_THE_COMMAND
    assert {field.name for field in dataclasses.fields(SamplingOptions)} == keys


def test_they_are_plain_and_frozen():
    options = read_options(SamplingOptions, composed("sample", "checkpoint=RUN", "sampler=ddpm", "num_samples=3"))
    assert (options.num_samples, options.track, options.checkpoint) == (3, None, "RUN")
    assert type(options.sampler) is dict
    assert options.sampler["variance"] == "${variance}"  # the model's, among whose parts it is resolved
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.num_samples = 4


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("num_samples=0", r"^num_samples=0 must be a whole number, at least 1$"),
        ("eta=-1", r"^eta=-1 must be a number, at least 0, or null$"),
        ("precision=64", r"^precision=64 must be one of 32-true, bf16-mixed, 16-mixed$"),
        ("steps=fast", r"^steps=fast must be a number of steps"),
        ("sampler.grid.steps=0", r"^sampler\.grid\.steps=0 must be a number of steps"),
        ("ema.std=-1", r"^ema\.std=-1 must be a number, at least 0$"),
        ("overwrite=2", r"^overwrite=2 must be true or false$"),
    ],
)
def test_a_wrong_value_is_one_line(word, told):
    with pytest.raises(ConfigError, match=told):
        read_options(SamplingOptions, composed("sample", "checkpoint=RUN", "sampler=ddim", "ema=posthoc", word))


def test_other_values_are_checked_as_well():
    options = read_options(SamplingOptions, composed("sample", "checkpoint=RUN"))
    assert with_values(options, {"eta": 0.5}).eta == 0.5
    with pytest.raises(ConfigError, match="eta=-1 must be"):
        with_values(options, {"eta": -1})


def test_what_is_known_of_a_key():
    keys = keys_of(SamplingOptions)
    staged = {name for name, key in keys.items() if key.staged}
    assert {"steps", "guidance", "batch_size"} <= staged
    assert not staged & {"num_samples", "classes", "threads"}
    assert keys["eta"].protocol == ("sampler.eta",)
    assert keys["steps"].label.format(25) == "25 steps"
    assert {name for name, key in keys.items() if key.of_model} >= {"track", "scale", "low_res"}
    drawn = {
        "stages",
        "conditions",
        "track",
        "sampler",
        "guidance",
        "guidance_order",
        "classes",
        "low_resolution",
        "precision",
    }
    assert set(PROTOCOL_FIELDS) == {*drawn, "quantization"}
    with pytest.raises(ConfigError, match=r"stage\.0\.threads=2: a stage can have its own batch_size, ema, eta"):
        stage_words(["0.threads=2"], 1, SamplingOptions)


def test_each_stage_has_options_of_its_own():
    words = [
        "stages=[A,B]",
        'stage=["1.steps=25","1.batch_size=${num_samples}"]',
        "steps=9",
        "checkpoint=null",
        "low_res=small.npz",
    ]
    first, second = options_of_stages(composed("sample", *words), "sample", SamplingOptions)
    assert (first.checkpoint, first.steps, first.low_res, first.format) == ("A", 9, "small.npz", {})
    assert (second.checkpoint, second.steps, second.low_res) == ("B", 25, None)
    assert second.batch_size == second.num_samples  # a reference is followed in the stage's own configuration
    assert list(second.format) == ["npz"]
