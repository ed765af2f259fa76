"""The options of an evaluation: one list of keys, in plain frozen values."""

import dataclasses
from pathlib import Path

import pytest

from difflab.config.groups import ConfigError
from difflab.evaluation.options import EvaluationOptions, evaluation_options
from difflab.evaluation.run import extractor_of
from difflab.reading import read_yaml
from difflab.sampling import SamplingOptions
from running import composed

CONF = Path(__file__).parents[2] / "conf"


def names(options: type) -> set[str]:
    return {field.name for field in dataclasses.fields(options)}


def test_the_fields_are_the_keys_of_the_command():
    """Together with those that say how a model draws, of which two matter to both."""
    content = read_yaml(CONF / "evaluate.yaml")
    groups = {key for default in content["defaults"] if isinstance(default, dict) for key in default}
    keys = {*content, *groups} - {"defaults", "override format", "checkpoint"}
    assert names(EvaluationOptions) - {"typed", "logger"} == keys
    assert names(EvaluationOptions) & names(SamplingOptions) == {"num_samples", "batch_size", "logger"}


def test_they_are_plain_and_frozen():
    options = evaluation_options(composed("evaluate", "data=digits", "metric=[kernel]", "sweep.steps=[1,2]"))
    assert type(options.metric["kernel"]) is dict
    assert options.dataset == {"_target_": "difflab.data.Digits"}
    assert options.axes == {"steps": [1, 2]}
    assert set(options.typed) >= {"data", "metric"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.replicates = 4


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("replicates=many", r"^replicates=many must be a whole number, at least 0$"),
        ("value_range=[1,0]", r"^value_range=\[1, 0\] must be two numbers"),
        ("check=clean_fid", r"^check=clean_fid must be torch_fidelity or null$"),
        ("compare=here.json", r"^compare=here.json must be a list"),
    ],
)
def test_a_wrong_value_is_one_line(word, message):
    with pytest.raises(ConfigError, match=message):
        evaluation_options(composed("evaluate", word))


def test_the_best_available_extractor_is_asked_for_the_data_that_images_are_compared_with():
    """Those of the run as well, which the command does not name."""
    options = evaluation_options(composed("evaluate", "extractor=best_available"))
    of_run = {"data": {"dataset": {"_target_": "difflab.data.Digits"}}}
    assert extractor_of(options, of_run, of_run["data"]).identity.name == "digits"
