"""Every command of README.md, docs/ and the studies' READMEs is one that its program takes, and does what it says, tiny."""

import collections
import os
import shutil
import unittest.mock

import pytest
import yaml
from documented import SHELL, blocks, written
from only_read import ELSEWHERE, elsewhere
from performing import perform, read
from stand_ins import Workshop

COMMANDS = written()
PAGES = sorted({command.page for command in COMMANDS})


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("my pages"))


@pytest.fixture(autouse=True)
def _there(shop, monkeypatch):
    monkeypatch.chdir(shop.folder)
    if shutil.which("sbatch") is None:  # a page's command for a cluster is read, on any machine
        (tools := shop.folder / "bin").mkdir(exist_ok=True)
        (tools / "sbatch").touch(0o755)
        monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    with unittest.mock.patch.dict(os.environ):  # a page may have variables set
        yield


def failures(commands, act, shop) -> list[str]:
    """What is wrong with each of them."""
    found = []
    for command in commands:
        try:
            act(command, shop)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            found.append(f"{command}\n    {type(error).__name__}: {error}")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_programs_take_the_commands_of_a_page(page, shop):
    wrong = failures([command for command in COMMANDS if command.page == page], read, shop)
    assert not wrong, "\n".join(wrong)


def test_readme_draws_and_measures(shop):
    """The short ones of the commands that are run by the test below."""
    mine = [one for one in COMMANDS if one.page == "README.md" and one.words[1:2] in (("sample.py",), ("evaluate.py",))]
    assert len(mine) > 5
    wrong = failures([one for one in mine if not elsewhere(one)], perform, shop)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != "docs/tour.md"]
)  # which test_tour.py runs as it stands
def test_the_commands_of_a_page_work(page, shop):
    """Those of its fences, in their order, in one folder; what cannot be run here is read by the test above."""
    mine = [command for command in COMMANDS if command.page == page and command.is_fenced and not elsewhere(command)]
    wrong = failures(mine, perform, shop)
    assert not wrong, "\n".join(wrong)


def test_each_reason_not_to_run_a_command_still_has_one():
    reasons = {elsewhere(command) for command in COMMANDS}
    assert {why for _, why, holds in ELSEWHERE if holds()} <= reasons


def test_fences_say_what_they_are():
    """What is typed stands in a fence of no language; anything else has one."""
    known = {*SHELL, "text", "python", "yaml", "math"}
    counts = collections.Counter(block.language for block in blocks())
    assert counts.keys() <= known


def test_python_of_the_pages_runs(shop):
    """Each block by itself, or after those of its page."""
    for page in {block.page for block in blocks()}:
        names = {"__name__": "page", **_given()}
        for block in blocks():
            if block.page == page and block.language == "python":
                exec(compile(block.text, f"{page}:{block.line}", "exec"), names)


def _given() -> dict:
    """Names that the pages say are the reader's own."""
    import torch

    from difflab.data import Digits

    return {"dataset": Digits(), "encode": lambda images: torch.nn.functional.avg_pool2d(images.float(), 2)}


def test_yaml_of_the_pages_can_be_read():
    for block in blocks():
        if block.language == "yaml":
            assert yaml.safe_load(block.text), f"{block.page}:{block.line}"
