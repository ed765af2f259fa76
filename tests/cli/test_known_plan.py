"""The last plan of a study: what `status` shows without planning, and when it plans anew."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import pytest

from difflab.cli.study import understood
from difflab.cli.study_plan import planned
from difflab.config.paths import config_directory, experiments_directory
from difflab.studies.execution import ask, states
from difflab.studies.planning import plan_cache as known_plan
from difflab.studies.planning.plan_cache import recall, remember

HEAVY = ["torch", "pytorch_lightning", "hydra", "pandas", "statsmodels", "matplotlib"]
STATUS = f"""
import sys
from difflab.cli.study import main
main()
print([m for m in {HEAVY} if m in sys.modules])
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a study, its caches and the root of its runs."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(experiments_directory() / "digits_like", folder / "digits_like")
    return folder


@pytest.fixture(scope="module")
def plan(study):
    """Planned once; remembered, since all is known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFLAB_CACHE", str(study / "cache"))
        found = planned(request(study), overrides(study))
    assert found.lacking is None
    return found


@pytest.fixture(autouse=True)
def cache(study, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(study / "cache"))


def overrides(study):
    return (f"run.root={study / 'runs'}",)


def request(study, *words):
    return understood([str(study / "digits_like" / "study.yaml"), "status", *overrides(study), *words])


def test_it_tells_where_the_runs_are_as_the_plan_does(study, plan):
    known = recall(request(study), overrides(study))
    assert known is not None
    assert (known.root, known.trainings, known.cells) == (plan.root, plan.trainings, plan.cells)
    assert {row: known.batch(row) for row in plan.rows} == {row: row_.facts.batch for row, row_ in plan.rows.items()}
    run = plan.trainings[1].directory
    run.mkdir(parents=True)
    (run / "complete.json").write_text("{}", encoding="utf-8")
    assert states(known, ask(known.root)) == states(plan, ask(plan.root))
    assert {state.state for state in states(known, ask(known.root))} == {"missing", "trained"}


def test_status_imports_nothing_large(study, plan):
    words = [str(study / "digits_like" / "study.yaml"), "status", "--json", *overrides(study)]
    done = subprocess.run([sys.executable, "-c", STATUS, *words], capture_output=True, encoding="utf-8", check=True)
    said, _, modules = done.stdout.rstrip().rpartition("\n")
    assert modules == "[]"
    assert len(json.loads(said)["cells"]) == len(plan.cells)


def test_what_changes_a_plan_has_it_made_anew(study, plan, monkeypatch, tmp_path):
    def known(*words):
        return recall(request(study, *words), (*overrides(study), *[w for w in words if w[:5] != "match"]))

    assert known() is not None
    assert known("match=params") is None
    assert known("network.width=32") is None
    with monkeypatch.context() as patch:
        patch.setenv("DIFFLAB_DATA", "/elsewhere")
        assert known() is None
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        assert known() is None
    conf = tmp_path / "conf"
    shutil.copytree(config_directory(), conf)
    with monkeypatch.context() as patch:
        patch.setattr(known_plan, "config_directories", lambda: [conf])
        assert known() is not None
        (conf / "optimizer" / "adamw.yaml").write_text("lr: 1", encoding="utf-8")
        assert known() is None
    file = study / "digits_like" / "study.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("question:", "question:  "), encoding="utf-8")
    assert known() is None
    file.write_text(text, encoding="utf-8")
    assert known() is not None


def test_code_that_has_changed_has_it_made_anew(study, plan, monkeypatch, tmp_path):
    package = tmp_path / "difflab"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(known_plan.difflab, "__file__", str(package / "__init__.py"))
    remember(request(study), overrides(study), plan)
    assert recall(request(study), overrides(study)) is not None
    os.utime(package / "__init__.py", ns=(1, 1))
    assert recall(request(study), overrides(study)) is None


def test_what_is_not_known_is_not_remembered(study, plan):
    there = request(study, "eval.every=7"), (*overrides(study), "eval.every=7")
    remember(*there, dataclasses.replace(plan, lacking="no data"))
    assert recall(*there) is None
    remember(*there, plan)
    assert recall(*there) is not None


def test_a_torn_file_is_no_plan(study, plan):
    words = request(study), overrides(study)
    remember(*words, plan)
    for file in (study / "cache" / "plans").glob("*.json"):
        file.write_text(file.read_text(encoding="utf-8")[:50], encoding="utf-8")
    assert recall(*words) is None
    remember(*words, plan)
