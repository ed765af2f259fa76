"""The last plan of a study: what looks at runs without planning, when it plans anew, and that it says so."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import pytest

from difflab.cli.study import understood
from difflab.config.paths import config_directory, experiments_directory
from difflab.studies.execution import ask, states
from difflab.studies.planning import plan_cache as known_plan
from difflab.studies.planning.plan_cache import current_plan, recall, remember
from difflab.studies.planning.planning import planned
from fabricated import finish, measured

HEAVY = ["torch", "pytorch_lightning", "hydra", "pandas", "statsmodels", "matplotlib"]
RUNNING = f"""
import sys
from pathlib import Path
import difflab
from difflab.cli.study import main
root = Path(difflab.__file__).parent
ran = set()
def count(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_flags & 1 and not code.co_name.startswith("<"):
        ran.add(code.co_filename)
sys.setprofile(count)
main()
sys.setprofile(None)
print([m for m in {HEAVY} if m in sys.modules])
print(sorted(Path(file).relative_to(root).as_posix() for file in ran if root in Path(file).parents))
"""
"""Runs study.py, and says last which large packages it imported and which files of difflab it went through."""


def running(*words):
    """What a command printed, the large packages that it imported, and the files of difflab in which a function ran."""
    done = subprocess.run([sys.executable, "-c", RUNNING, *map(str, words)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    *said, modules, files = done.stdout.rstrip().split("\n")
    return "\n".join(said), done.stderr, modules, json.loads(files.replace("'", '"'))


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
    said, _, modules, _ = running(study / "digits_like" / "study.yaml", "status", "--json", *overrides(study))
    assert modules == "[]"
    assert len(json.loads(said)["cells"]) == len(plan.cells)


def test_a_report_builds_no_network_and_composes_nothing(study, plan):
    """From the plan's file, the runs' files and the statistics to the page."""
    for cell in plan.cells:
        value = 5.0 + cell.seed + 0.1 * cell.training
        numbers = [
            measured(metric, value if metric == "fd_digits" else 0.5, cell.seed, extractor={"name": "digits"})
            for metric in plan.study.evaluation.metrics
        ]
        finish(plan, cell.row, cell.seed, numbers, {"step": plan.training(cell).steps})
    file, page = study / "digits_like" / "study.yaml", study / "page.html"
    said, notes, modules, files = running(file, "report", *overrides(study), f"out={page}")
    assert (said, notes, modules) == (str(page), "", "[]")
    rooms = {file.partition("/")[0] for file in files}
    assert not rooms & {"networks", "samplers", "sampling", "checkpoints", "training", "features"}
    assert not [file for file in files if file.startswith("config/") and file != "config/paths.py"]
    assert len(files) <= 75
    assert page.read_text(encoding="utf-8").count("linear schedule") > 1
    said, notes, modules, _ = running(file, "table", *overrides(study))
    assert (said.count("| linear schedule"), notes, modules) == (1, "", "[]")


def test_who_plans_anew_says_why(study, plan, capsys):
    file = study / "digits_like" / "study.yaml"
    text = file.read_text(encoding="utf-8")
    assert current_plan(request(study), overrides(study)) == plan
    assert capsys.readouterr().err == ""
    file.write_text(text.replace("alpha: 0.05", "alpha: 0.04"), encoding="utf-8")
    assert current_plan(request(study), overrides(study)).study.alpha == 0.04
    assert capsys.readouterr().err == "planning digits_like: changed since its last plan: the study's file\n"
    file.write_text(text, encoding="utf-8")
    remember(request(study), overrides(study), plan)


def test_a_plan_comes_back_as_it_was_made(study, plan):
    known = recall(request(study), overrides(study))
    assert known == plan


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
