"""Commands in messages can be typed as they stand: in a clone's folder, beside it, and from a wheel."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from difflab.cli.main import COMMANDS
from difflab.runtime import invocation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def from_a_wheel(tmp_path, monkeypatch):
    """What is above the package then is no clone."""
    monkeypatch.setattr(invocation, "_ROOT", tmp_path / "lib" / "python3.11")


def test_in_the_folder_of_a_clone_scripts_are_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert invocation.command("train +experiment=list") == "python train.py +experiment=list"
    assert invocation.program("sample") == "sample.py"
    assert invocation.installation("hub") == "pip install -e '.[hub]'"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_scripts_that_are_named_are_there_and_other_commands_are_difflabs(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    word, *rest = invocation.command(name).split()
    assert Path(rest[0]).is_file() if word == "python" else [word, *rest] == ["difflab", name]


def test_beside_a_clone_its_scripts_are_not_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invocation.command("train +experiment=list") == "difflab train +experiment=list"
    assert invocation.installation("hub") == f"pip install -e '{ROOT}[hub]'"


def test_from_a_wheel_no_script_is_named_even_beside_a_train_py(tmp_path, monkeypatch, from_a_wheel):
    (tmp_path / "train.py").touch()
    monkeypatch.chdir(tmp_path)
    assert invocation.command("evaluate checkpoint=RUN") == "difflab evaluate checkpoint=RUN"
    assert invocation.program("study") == "difflab study"
    assert invocation.installation("hub") == "pip install 'difflab[hub]'"


def test_a_folder_that_is_gone_is_no_clone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert invocation.program("train") == "difflab train"


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("wandb", "wandb"),
        ("matplotlib", "report"),
        ("datasets", "hub"),
        ("deepspeed", "deepspeed"),
        ("hydra_submitit_launcher", "slurm"),
    ],
)
def test_the_extra_that_brings_a_package_is_found_in_the_metadata(package, extra, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [f"{one}; extra == '{name}'" for name, ones in project["optional-dependencies"].items() for one in ones]
    monkeypatch.setattr(invocation, "_requirements", lambda: lines)
    monkeypatch.chdir(ROOT)
    assert invocation.installation_of(package) == f"pip install -e '.[{extra}]'"


def test_a_package_of_no_extra_is_installed_by_its_name():
    assert invocation.installation_of("mlflow") == "pip install mlflow"


def test_no_message_names_a_command_that_only_a_clone_has():
    """Docstrings may: they are read in a clone."""
    alone = re.compile(r"python (train|sample|evaluate|study|data)\.py|pip install .*difflab\[")
    wrong = []
    for path in sorted((ROOT / "src" / "difflab").rglob("*.py")):
        if path == Path(invocation.__file__):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [one for one in ast.walk(tree) if isinstance(one, ast.Constant) and id(one) not in said]
        wrong += [f"{path}:{one.lineno}" for one in texts if isinstance(one.value, str) and alone.search(one.value)]
    assert not wrong, "\n".join(wrong)
