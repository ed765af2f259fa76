"""The composed configuration of a command, and its schema.

The keys that a command's configuration has of itself: those of conf/<command>.yaml with its default choices, and of no experiment.

The files are read as they are. Hydra would compose them once more, in as much time as the configuration itself takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from difflab.config import derived as resolvers
from difflab.config.groups import ConfigError
from difflab.config.keys import compose_or_explain
from difflab.config.near_keys import path_among
from difflab.config.options import gathered
from difflab.config.paths import config_directory, search_words
from difflab.config.words import as_meant, readable
from difflab.reading import read_yaml
from difflab.runtime.invocation import lacking

_PACKAGE = re.compile(r"^# @package (\S+)", re.MULTILINE)


@cache
def schema(command: str) -> DictConfig:
    """Every key of a command's configuration, with the value that it has by default; references are not followed.

    Args:
        command: train, whose default choices all lie in conf/.
    """
    content = _of_file(config_directory() / f"{command}.yaml", "")
    content.pop("hydra", None)
    return OmegaConf.create(content)


def _of_file(path: Path, group: str) -> dict[str, Any]:
    """A file's content where its package puts it, over or under that of its defaults, as its defaults list says."""
    content = read_yaml(path)
    defaults = content.pop("defaults", [])
    header = _PACKAGE.search(path.read_text(encoding="utf-8"))
    package = header[1] if header else group.replace("/", ".")
    for key in reversed(package.split(".")) if package else ():
        content = {key: content}
    found: dict[str, Any] = {}
    for entry in defaults if "_self_" in defaults else ["_self_", *defaults]:
        for one in [content] if entry == "_self_" else _chosen(entry, group):
            _merge(found, one)
    return found


def _chosen(entry: Mapping[str, Any], group: str) -> Iterator[dict[str, Any]]:
    """The content of each choice that an entry of a defaults list names, `group: choice` or `group: [choice, ...]`."""
    for inner, choices in entry.items():
        if inner.startswith("override ") or choices is None:  # of Hydra's own parts, which are no keys of a command
            continue
        folder = f"{group}/{inner}".lstrip("/")
        for choice in choices if isinstance(choices, list) else [choices]:
            yield _of_file(config_directory() / folder / f"{choice}.yaml", folder)


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def read_words(config_name: str, words: Sequence[str]) -> list[str]:
    """A command line as Hydra reads it: each word for the key that it stands for.

    Args:
        config_name: conf/<config_name>.yaml.
        words: As they were typed.

    Raises:
        ConfigError: One of them stands for nothing, or needs a package that is not installed.
    """
    resolvers.add_resolvers()
    found = [*search_words(), *readable(gathered(as_meant(config_name, words)))]
    if wrong := lacking(found) or path_among(found):
        raise ConfigError(wrong)
    return found


@contextmanager
def hydra_for(config_name: str) -> Iterator[None]:
    """Within the context Hydra composes from conf/, for a job of the command's name."""
    with initialize_config_dir(str(config_directory()), config_name, version_base="1.3"):
        yield


def composed_as_running(config_name: str, words: Sequence[str]) -> DictConfig:
    """The configuration that `run_composed` would give to a command's function.

    Args:
        config_name: conf/<config_name>.yaml.
        words: As they were typed.

    Raises:
        ConfigError: They make no configuration.
    """
    with hydra_for(config_name):
        config = compose_or_explain(config_name, read_words(config_name, words))
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
    return config


def run_composed(config_name: str, config: DictConfig, function: Callable[[DictConfig], Any]) -> Any:
    """Runs function(config) as hydra.main does, which would compose twice before it.

    Args:
        config_name: conf/<config_name>.yaml.
        config: Composed in the context of `hydra_for`, with Hydra's own settings.
        function: Is given the configuration without these.

    Returns:
        What the function returns.
    """
    callbacks = Callbacks(config)
    callbacks.on_run_start(config=config, config_name=config_name)
    context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=callbacks)
    done = run_job(function, config, "hydra.run.dir", None, context)
    callbacks.on_run_end(config=config, config_name=config_name, job_return=done)
    return done.return_value


def run_by_hydra(config_name: str, function: Callable[[DictConfig], Any]) -> None:
    """Runs a command line that asks something of Hydra itself, as --cfg job does."""
    hydra.main(config_path=str(config_directory()), config_name=config_name, version_base="1.3")(function)()
