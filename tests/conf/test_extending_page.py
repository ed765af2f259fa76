"""docs/extending.md to the letter, in a copy of the tree: each block of code is a new file, and no existing file changes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?:python|yaml)\n# ((?:src|conf)/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHECKED = (
    "test_a_group_has_one_file_for_each_choice_of_its_package",
    "test_a_file_is_the_list_of_a_constructors_arguments",
    "test_a_file_opens_with_a_line_about_itself",
    "test_every_package_of_choices_has_a_group",
)
WORDS = (
    "network=convolutions",
    "schedule=square",
    "sampler=damped",
    "ema=[warm_up,uniform]",
    "data=digits",
    "conditions=[preferred]",
    "objective=towards_average",
)
TRAINED = (
    "sampler.strength=0.9",
    "sampler.grid.steps=2",
    "trainer.max_steps=2",
    "eval.every=2",
    "eval.num_samples=10",
    "checkpoint.every=2",
    "network.width=4",
    "data.batch_size=4",
    "trainer.accelerator=cpu",
    "logger=none",
    "extractor=digits",
    "run.name=new",
)
MEASURED = ("num_samples=8", "metric=[frechet,likeness]", "accelerator=cpu", "track=uniform")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree with the page's files in it."""
    copy = tmp_path_factory.mktemp("tree")
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
    for folder in ("tests/conf", "tests/golden"):
        (copy / folder).mkdir(parents=True)
    for file in (
        *ROOT.glob("tests/*.py"),
        *ROOT.glob("tests/golden/*.py"),
        ROOT / "tests/conf/test_groups.py",
        ROOT / "pyproject.toml",
    ):
        shutil.copy(file, copy / file.relative_to(ROOT))
    for name, content in BLOCK.findall((ROOT / "docs/extending.md").read_text(encoding="utf-8")):
        file = copy / name
        assert not file.exists(), f"{name} is an existing file"
        assert file.parent.is_dir(), f"{name} lies in no package and no group"
        file.write_text(content, encoding="utf-8")
    return copy


IN_THE_TREE = """
import sys
from pathlib import Path

import pytest

cases, trained, measured = (text.split() for text in sys.argv[1:])
status = pytest.main(["-q", "-p", "no:cacheprovider", *cases])
if status:
    sys.exit(f"tests of the groups: {status}")
print("the groups are in order")

from difflab.cli.evaluate import evaluate
from difflab.cli.train import train
from difflab.config.resolve import resolve_row
from running import composed

for words in (["sampler=damped", "sampler.strenth=1"], ["sampler=dampd"], ["sampler=damped", "sampler.strength=much"]):
    try:
        resolve_row([*words, "data=digits"])
    except ValueError as error:
        print("refused:", error)
train(composed("train", *trained))
(run,) = {path.parent for path in Path("runs").rglob("complete.json")}
evaluate(composed("evaluate", f"checkpoint={run}", *measured))
tuning = ("run.name=tuned", f"init_from={run}", "adapter=scales", "adapter.layers=[middle,last]", "optimizer.lr=0.1")
train(composed("train", *trained, *tuning))
(tuned,) = {path.parent for path in Path("runs/tuned").rglob("complete.json")}
from difflab.reading.arrays import opened_safetensors
with opened_safetensors(tuned / "weights" / "online.safetensors", "") as file:
    print("tuned:", *sorted(file.keys()))
evaluate(composed("evaluate", f"checkpoint={tuned}", "num_samples=8", "metric=[frechet]", "accelerator=cpu"))
"""
"""One process for all that is done there: to start each by itself would take most of the time."""


@pytest.fixture(scope="module")
def said(tree):
    """What is printed in the copy, which imports from it: tests of the groups, three mistakes, a training and its evaluation."""
    here = {"PYTHONPATH": os.pathsep.join([str(tree / "src"), str(tree / "tests")]), "OMP_NUM_THREADS": "1"}
    cases = " ".join(f"tests/conf/test_groups.py::{name}" for name in CHECKED)
    words = [cases, " ".join((*WORDS, *TRAINED)), " ".join(MEASURED)]
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_TREE, *words],
        cwd=tree,
        env=os.environ | here,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


def test_the_page_has_a_file_for_each_kind_of_part():
    names = {name for name, _ in BLOCK.findall((ROOT / "docs/extending.md").read_text(encoding="utf-8"))}
    for group in ("schedule", "sampler", "ema", "network", "metric", "adapter", "conditions"):
        assert any(name.startswith(f"conf/{group}/") for name in names), group


def test_the_groups_are_in_order_with_them(said):
    assert "the groups are in order" in said


def test_they_are_trained_and_measured(tree, said):
    assert any("likeness" in line for line in said)
    (config,) = (tree / "runs" / "new").rglob("config.yaml")
    assert "0.9" in config.read_text(encoding="utf-8")


def test_the_adapter_is_trained_and_merged(said):
    (names,) = [line.split()[1:] for line in said if line.startswith("tuned: ")]
    assert "network.middle.weight" in names
    assert not any("parametrizations" in name for name in names)


def test_their_arguments_are_checked_and_suggested(said):
    refused = [line for line in said if line.startswith("refused: ")]
    assert "did you mean 'strength'" in refused[0]
    assert "did you mean 'damped'" in refused[1]
    assert refused[2].startswith("refused: sampler.strength=much must be a number")
