"""Test-wide set-up: golden inputs importable as `recipes`, shapes of annotated functions checked by beartype, nobody's environment."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "golden"))

import nobody  # noqa: I001  before all that reads the environment when it is imported

import os

import jaxtyping
import pytest
import torch

# small tensors: threads that wait for each other on a busy machine make the tests many times slower
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

CHECKED = [
    "process",
    "noise",
    "types",
    "schedules",
    "parameterizations",
    "variances",
    "networks",
    "noisy_model",
    "denoiser",
    "classifier",
    "objectives",
    "samplers",
    "guidance",
    "ema",
]
jaxtyping.install_import_hook([f"difflab.{name}" for name in CHECKED], "typecheck.checked")


COMMANDS = {
    "benchmarks",
    "checkpoints",
    "cli",
    "cluster",
    "config",
    "docs",
    "evaluation",
    "runs",
    "runtime",
    "sampling",
    "studies",
}
"""Folders whose tests run whole commands, hundreds of times with one small model. Its shapes are checked by the tests of each part, and by
tests/conf, where every experiment takes a step and draws; once more they would be a third of the time that drawing takes."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    jaxtyping.config.update("jaxtyping_disable", folder in COMMANDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of pytest-xdist what the user's environment is: its own is already nobody's."""
    node.workerinput["given"] = dict(nobody.GIVEN)


def pytest_configure(config: pytest.Config) -> None:
    if given := getattr(config, "workerinput", {}).get("given"):
        nobody.GIVEN.clear()
        nobody.GIVEN.update(given)


@pytest.fixture(autouse=True)
def _environment_of_its_own() -> Iterator[None]:
    """What a command under test sets in the environment (DIFFLAB_COMMAND, MASTER_PORT ...) is not the next test's."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)
