"""conf/ as the command line sees it."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from difflab.config import derived as resolvers

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="session")
def conf() -> Path:
    return CONF


@pytest.fixture
def composed() -> Iterator[Callable[..., DictConfig]]:
    """(overrides) -> the configuration of train.py, which is not to be changed: composing takes long enough to do it once."""
    resolvers.add_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda *overrides: _compose(overrides)


@cache
def _compose(overrides: tuple[str, ...]) -> DictConfig:
    return compose("train", overrides=list(overrides))


@pytest.fixture(scope="session")
def base() -> DictConfig:
    """The configuration without an experiment."""
    resolvers.add_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train")
