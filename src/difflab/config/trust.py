"""The way of a configuration that was read back, from a run, a checkpoint or an exported file, to what is built from it.

Hydra calls whatever a `_target_` names, with whatever arguments stand beside it: a configuration is code. One's own command line, conf/ and
study files are meant to be. What lies beside weights may be anybody's, so before anything of it is imported or built all of it is looked
through, and may name these and nothing else:

  difflab's parts   what conf/ names as a choice of a group that a model consists of
  torch's           optimizers, learning rate schedules and modules of torch.nn
  one's own         what one's own conf/ names, and what lies in a package that one trusts: trust=my_package on the command line of
                    train.py, sample.py, evaluate.py and study.py, or the variable DIFFLAB_TRUST=my_package

`read_back` is the only such way: the architecture's tests hold that nothing else makes a configuration of a file's text.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from difflab.config.keys import ConfigError
from difflab.config.paths import config_directory
from difflab.former_names import present
from difflab.reading import FileError
from difflab.reading.yaml import BROKEN, checked_yaml, no_yaml
from difflab.runtime.foreign_code import is_known

VARIABLE = "DIFFLAB_TRUST"
"""Packages that are trusted whatever the command, with commas between them."""

NOT_READ = frozenset(
    {
        *("launcher", "strategy", "trainer", "checkpoint_io", "divergence", "evaluation", "callbacks", "logger"),
        *("hydra", "hparams_search", "debug", "trust", "format", "metric", "likelihood", "quantization", "init_from"),
    }
)
"""Nodes of a configuration, and groups of conf/, from which nothing is built that is read back: they say where and how a run was executed,
or what a command does with images."""

HOW = {
    "_partial_": (True, False),
    "_recursive_": (True, False),
    "_convert_": ("none", "partial", "object", "all"),
}
"""What else Hydra is told of a part, with the values that it knows."""

_NAME = re.compile(r"(?!__)[A-Za-z_]\w*(\.(?!__)[A-Za-z_]\w*)*")
_TARGET = re.compile(r"\b_target_:\s*[\"']?([\w.]+)")
_TORCH: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "torch.optim": ("torch.optim", (Optimizer, LRScheduler)),
    "torch.nn": ("torch.nn.modules", (torch.nn.Module,)),
}
"""Module by which a class of torch is named -> the one below which it must be defined, and of which kind it must be."""

_trusted: list[str] = []


def trust(packages: Any) -> None:
    """Makes these the packages that the command in this process trusts, in place of those of a command before it.

    Args:
        packages: The command's `trust`: a name, or a list of names.

    Raises:
        ConfigError: One of them is no name of a package, or one from which anything can be called.
    """
    names = [packages] if isinstance(packages, str) else list(packages or ())
    _trusted[:] = [_checked(name, f"trust={name}") for name in names]


def trusted() -> list[str]:
    """The packages that the command and the environment trust."""
    given = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    return [*_trusted, *(_checked(name, f"{VARIABLE}={name}") for name in given if name)]


def read_back(text: str, file: Path) -> dict[str, Any]:
    """The configuration in a file, plain, without the nodes of which nothing is built.

    Args:
        text: YAML, resolved, as every run writes it.
        file: Where it stands, for errors.

    Raises:
        ConfigError: It is no configuration, or names what is not allowed. Nothing of it was imported or built then.
    """
    try:
        config = OmegaConf.create(checked_yaml(text, file))
    except FileError as error:
        raise ConfigError(str(error)) from error
    except (*BROKEN, OmegaConfBaseException, AssertionError) as error:
        raise ConfigError(str(no_yaml(file, error))) from error
    if not isinstance(config, DictConfig) or not isinstance(config.get("module"), DictConfig):
        raise ConfigError(f"{file} holds no configuration of a run: it has no node `module`")
    for name in NOT_READ:
        config.pop(name, None)
    plain = present(OmegaConf.to_container(config))
    parts = _named_by_conf(config_directory())
    for path, target in _targets(DictConfig(plain), "", file):
        _check_target(target, parts, f"{file}: {path}._target_")
    return plain


def packages_of(config: Mapping[str, Any]) -> list[str]:
    """Packages of the user's own that must be trusted to read back a run of this configuration."""
    parts = _named_by_conf(config_directory())
    plain = OmegaConf.create({name: node for name, node in config.items() if name not in NOT_READ})
    found = (target for _, target in _targets(plain, "", Path()) if target not in parts)
    return sorted({_top(target) for target in found if not is_known(_top(target))})


def _checked(name: Any, where: str) -> str:
    """A package's or a module's name. A ConfigError if that is no name, or if it would let in what runs anything."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: expected the name of a package, as trust=my_package or trust=[my_package,other]")
    if is_known(name) or _top(name) in sys.stdlib_module_names:
        raise ConfigError(
            f"{where}: {name} holds what runs anything; name your own package, or one module of a library, as trust=torchvision.ops"
        )
    return name


def _targets(node: DictConfig | ListConfig, path: str, file: Path) -> Iterator[tuple[str, str]]:
    """(dotted path, `_target_`) of all parts, wherever in a node.

    A ConfigError for what no run writes: a reference, or a strange word to Hydra.
    """
    keys: list[Any] = list(range(len(node))) if isinstance(node, ListConfig) else list(node)
    for key in keys:
        value: Any = node._get_node(key)
        inner = f"{path}[{key}]" if isinstance(node, ListConfig) else f"{path}.{key}" if path else str(key)
        if isinstance(value, DictConfig | ListConfig) and not (value._is_none() or value._is_interpolation()):
            yield from _targets(value, inner, file)
            value = None
        else:
            value = value._value()
        if any(isinstance(one, str) and "${" in one for one in (key, value)):
            raise ConfigError(
                f"{file}: {inner} holds a reference ({value!r}): a run's configuration is stored without any, and none is followed"
            )
        if key == "_target_" and not isinstance(value, str):
            raise ConfigError(f"{file}: {inner} is no name")
        if key == "_target_":
            yield path, value
        elif key in HOW and value not in HOW[key]:
            raise ConfigError(f"{file}: {inner}={value}: expected {', '.join(map(str, HOW[key]))}")


def _check_target(target: str, parts: frozenset[str], where: str) -> None:
    """A ConfigError unless this is a part of difflab's, of torch's, or of a package that is trusted."""
    if not _NAME.fullmatch(target):
        raise ConfigError(f"{where}: {target!r} is no name of a part")
    top = _top(target)
    if target in parts and (top == "difflab" or not is_known(top)):
        return
    if any(_lies_in(target, module) and _is_of_torch(target, module) for module in _TORCH):
        return
    packages = trusted()
    if any(_lies_in(target, package) for package in packages):
        _check_origin(target, packages, where)
        return
    if top == "difflab":
        raise ConfigError(
            f"{where} names {target}, which is no part that this version of difflab has (no file of conf/ names it)"
        )
    if is_known(top):
        raise ConfigError(
            f"{where} names {target}, which is no part of a model: a file that wants it called is not run. Do not use files of "
            "somebody whom you do not know (docs/security.md)"
        )
    raise ConfigError(
        f"{where} names {target}, which does not come with difflab, and whatever the package {top} does would be done with your rights. "
        f"If you know it and trust this file add trust={top} to the command, or set {VARIABLE}={top} for good"
    )


def _check_origin(target: str, allowed: Sequence[str], where: str) -> None:
    """A ConfigError if a trusted package merely passes on what another one defines, as my_package.os.system does."""
    try:
        found = _located(target)
    except Exception as error:
        raise ConfigError(f"{where}: there is no {target} here ({' '.join(str(error).split())})") from error
    origin = getattr(found, "__module__", None) if callable(found) else None
    if not isinstance(origin, str) or not any(_lies_in(origin, package) for package in allowed):
        raise ConfigError(
            f"{where} names {target}, which is not defined there but {f'in {origin}' if origin else 'is no class or function'}: name it by "
            "where it is defined"
        )


def _located(target: str) -> Any:
    """The object of this name in the longest module of its name that there is."""
    words = target.split(".")
    found: Any = importlib.import_module(words[0])
    for i, word in enumerate(words[1:], 2):
        try:
            found = getattr(found, word)
        except AttributeError:
            found = importlib.import_module(".".join(words[:i]))
    return found


def _is_of_torch(target: str, module: str) -> bool:
    """Whether this is a class of an allowed kind that is defined below the module."""
    try:
        found = _located(target)
    except (ImportError, AttributeError):
        return False
    home, kinds = _TORCH[module]
    return isinstance(found, type) and issubclass(found, kinds) and _lies_in(found.__module__, home)


@cache
def _named_by_conf(folder: Path) -> frozenset[str]:
    """The `_target_`s in the files of conf/, without those of groups of which nothing is built."""
    files = (file for group in folder.iterdir() if group.name not in NOT_READ for file in group.rglob("*.yaml"))
    lines = (line.partition("#")[0] for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return frozenset(name for line in lines for name in _TARGET.findall(line))


def _lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _top(name: str) -> str:
    return name.partition(".")[0]
