"""Runs of version 921fc58 are the same runs now: that version's identities and courses hold, although parts were moved since.

tests/golden/identities.json has them, of each experiment and of a choice of each group.
"""

import json
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from difflab.former_names import PRESENT, first, first_name, present
from difflab.runs import identity
from difflab.runs.identity import course
from running import composed

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "identities.json").read_text(encoding="utf-8"))
MOVED = ("guidance=", "extractor=", "evaluation=", "init_from=", "shrink", "strategy=", "seed=3")


def check(rows: list[str]) -> None:
    wrong = []
    for row in rows:
        config = OmegaConf.to_container(composed("train", *row.split()), resolve=True)
        found = [identity(config, "data", "extractor", {}), course(config, "data", "")]  # type: ignore[arg-type]
        if found != GOLDEN[row]:
            wrong.append(f"{row}: {found}, not {GOLDEN[row]}")
    assert not wrong, "\n".join(wrong)


def test_runs_of_an_earlier_version_are_the_same_runs():
    special = [row for row in GOLDEN if any(word in row for word in MOVED)]
    assert len(special) > 20
    check(sorted({*special, *list(GOLDEN)[::6]}))


@pytest.mark.slow
def test_all_runs_of_an_earlier_version_are_the_same_runs():
    check(list(GOLDEN))


def test_each_former_name_leads_to_a_part():
    for name in PRESENT.values():
        module, _, part = name.rpartition(".")
        assert callable(getattr(import_module(module), part)), name
    assert not set(PRESENT) & set(PRESENT.values())
    assert len(set(PRESENT.values())) == len(PRESENT)


def test_a_configuration_goes_back_and_forth():
    node = {
        "a": [{"_target_": "difflab.module.DiffusionModule", "x": {"_target_": "my.Own"}}],
        "b": "difflab.module.DiffusionModule",
    }
    now = present(node)
    assert now["a"][0]["_target_"] == "difflab.training.DiffusionModule"
    assert now["b"] == node["b"], "only a _target_ is a name of a part"
    assert first(now) == node
    assert first_name("difflab.features.to_uint8") == "difflab.metrics.to_uint8"
    assert first_name("my.Own") == "my.Own"
