"""Packages that import what they list when it is asked for."""

import subprocess
import sys
from importlib import import_module

import pytest

LAZY = ["difflab.data", "difflab.runs", "difflab.training", "difflab.metrics", "difflab.evaluation", "difflab.studies"]


def said(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    ).stdout.strip()


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_there_and_none_is_a_module(package):
    index = import_module(package)
    for name in index.__all__:
        value = getattr(index, name)
        assert type(value).__name__ != "module"
        assert value is getattr(import_module(getattr(value, "__module__", None) or package), name, value)
        assert name in dir(index)
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'nobody'"):
        index.nobody  # noqa: B018


def test_one_name_brings_its_own_module_alone():
    code = "import sys; from difflab.runs import identity, RunDirectory; print(*[m for m in {!r} if m in sys.modules])"
    assert said(code.format(["torch", "pytorch_lightning", "wandb", "difflab.runs.checkpoints"])) == ""


def test_a_function_is_found_by_its_name_though_its_module_is_called_the_same():
    code = """
import difflab.runs.identity
from difflab.runs.identity import WHERE_AND_HOW
from difflab.runs import identity
import difflab.runs
print(callable(identity), difflab.runs.identity is identity)
from difflab.runs import listing
print(type(listing).__name__)
"""
    assert said(code).split() == ["True", "True", "module"]


def test_where_a_study_is_can_be_asked_without_torch():
    """What looks after runs on login nodes: the pool's tasks, states, the evaluations that are due."""
    modules = (
        ", ".join(f"difflab.studies.execution.{name}" for name in ("state", "tasks", "worker")) + ", difflab.runs.info"
    )
    heavy = ["torch", "pytorch_lightning", "pandas", "statsmodels", "matplotlib", "hydra"]
    assert said(f"import sys, {modules}; print(*[m for m in {heavy} if m in sys.modules])") == ""
