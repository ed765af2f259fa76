"""Parts and plain values from nodes, and one line for what cannot be built."""

import pytest
from omegaconf import OmegaConf

from difflab.config.build import as_yaml, build, extended, plain, target
from difflab.config.groups import ConfigError
from difflab.schedules import Tabulated, cosine

NODE = {"_target_": "difflab.schedules.cosine", "steps": 10}


def test_a_node_is_built_with_what_it_refers_to_and_what_is_given():
    config = OmegaConf.create({"steps": 20, "schedule": NODE | {"steps": "${steps}"}})
    assert isinstance(build(config.schedule), Tabulated)
    assert build(config.schedule).steps == 20
    assert build(config.schedule, steps=5).steps == 5
    assert build(NODE).steps == 10


def test_several_parts_are_a_plain_dictionary_and_lists_are_plain():
    built = build(OmegaConf.create({"one": NODE, "many": [NODE, NODE]}))
    assert type(built) is dict
    assert type(built["many"]) is list
    assert [one.steps for one in built["many"]] == [10, 10]


def test_what_cannot_be_built_is_one_line_that_names_the_key_as_typed():
    typed = OmegaConf.create(
        {"schedule": NODE | {"steps": 0}, "module": {"_target_": "builtins.dict", "s": "${schedule}"}}
    )
    with pytest.raises(ConfigError, match=r"^schedule: a schedule needs at least one step") as caught:
        build(typed.module, typed)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="Nowhere"):
        build(NODE | {"_target_": "difflab.schedules.Nowhere"})
    with pytest.raises(ConfigError, match="nothing"):
        build(OmegaConf.create(NODE | {"steps": "${nothing}"}))


def test_plain_values():
    config = OmegaConf.create({"a": 1, "b": {"c": "${a}", "d": [1, 2]}, "e": "???"})
    assert plain(config) == {"a": 1, "b": {"c": 1, "d": [1, 2]}, "e": "???"}
    assert plain(3) == 3
    assert plain(None) is None
    assert as_yaml(config.b) == "c: 1\nd:\n- 1\n- 2\n"
    with pytest.raises(ConfigError, match="nowhere"):
        plain(OmegaConf.create({"a": "${nowhere}"}))
    OmegaConf.set_struct(config, True)
    with extended(config):
        config.f = 1


def test_what_a_node_calls_is_found_and_not_called():
    assert target(NODE) is cosine
    with pytest.raises(ConfigError, match=r"difflab\.schedules\.Nowhere cannot be imported"):
        target("difflab.schedules.Nowhere")
