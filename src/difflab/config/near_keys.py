"""Keys and choices that are not there, and near ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Sweep
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from difflab.config.groups import ConfigError, direct_choices
from difflab.config.paths import config_files, is_group
from difflab.config.words import ALIASES
from difflab.reading import read_yaml
from difflab.suggest import near_name

_LEADS_OUT = re.compile(r"\.\.|\\|[=,\[(\"'\s]/")
"""In a word that may hold such a name. Few do, and the others need not be read."""


def leads_out(name: str) -> bool:
    """Whether a name is an absolute path, or one that goes up."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts


def path_among(words: Sequence[str]) -> str | None:
    """Why one of a command's words is refused: it names a path where a choice is wanted. None if none does.

    Words that cannot be read are left to whoever composes them.
    """
    for word in words:
        if not _LEADS_OUT.search(word) or word.startswith("-"):
            continue
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException:
            continue
        key = override.key_or_group
        for name in _choices(override) if is_group(key) else ():
            if leads_out(name):
                return (
                    f"{key}={name}: a choice is the name of a file in conf/{key}, and no path (a folder of configurations of your own is "
                    "added by --config-dir FOLDER, and what is in it is then named as what is in conf/)"
                )
    return None


def _choices(override: Override) -> list[str]:
    value: Any = override.value()
    if isinstance(value, Sweep):
        value = getattr(value, "list", [])
    found: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        one = getattr(one, "text", one)  # of a quoted text
        found += [str(inner) for inner in one] if isinstance(one, list) else [str(one)]
    return found


_NOT_FOUND = re.compile(r"Interpolation key '([^']+)' not found")


def lacking(error: Exception, path: str, config: DictConfig) -> str:
    """Which part lacks a value that another one takes from it, and the choices in its place that have it; "" for another error.

    Args:
        error: As OmegaConf raises it.
        path: Of the value that could not be taken.
        config: With both parts.
    """
    match = _NOT_FOUND.search(str(error))
    group, _, key = match[1].rpartition(".") if match else ("", "", "")
    files = config_files(group, "*.yaml") if group else {}
    having = [f"{group}={name}" for name, file in files.items() if key in read_yaml(file)]
    if not having:
        return ""
    part, node = path.rpartition(".")[0], OmegaConf.select(config, group, throw_on_missing=False)
    chosen = str(node.get("_target_", "")).rpartition(".")[2] if isinstance(node, DictConfig) else ""
    return (
        f"{part} needs the {key} of the {group}, and {chosen or 'this one'} has none: add {' or '.join(having)}, or say "
        f"{path}=..., or choose no {part}"
    )


HYDRA_KEYS = frozenset({"_target_", "_partial_", "_convert_", "_args_", "_recursive_"})
"""Keys of a part that are Hydra's."""


def explain_path(base: DictConfig, path: str, command: str) -> None:
    """Raises if a dotted path leads nowhere in the base configuration of a command."""
    node: Any = base
    parts = path.split(".")
    for depth, part in enumerate(parts):
        if isinstance(node, DictConfig) and part not in list(node):  # `part in node` says no of a value that is missing
            above = ".".join(parts[:depth])
            if above == "" and base.hydra.runtime.choices.get(part, part) is None:
                direct = "|".join(direct_choices(part))
                raise ConfigError(f"{path}: no {part} is chosen; choose one as well, {part}={direct}")
            if depth == 0 and (meant := _elsewhere(base, parts[-1], command)):
                raise ConfigError(_meant(path, part, meant))
            raise ConfigError(unknown(".".join(parts[: depth + 1]), above or "the configuration", map(str, node)))
        node = node._get_node(part) if isinstance(node, DictConfig) else None
        if not isinstance(node, DictConfig) or node._is_missing() or node._is_none() or node._is_interpolation():
            return


def explain_top(base: DictConfig, key: str) -> None:
    """Raises for a key at the top of a training's configuration that is not in its base, as a file of one's own may have it."""
    if meant := _elsewhere(base, key, "train"):
        aside = " Short words are understood on the command line alone" if key in ALIASES["train"] else ""
        raise ConfigError(_meant(key, key, meant) + aside)
    raise ConfigError(unknown(key, "the configuration", map(str, base)))


def _meant(path: str, part: str, meant: str) -> str:
    return f"unknown key {path!r}: the configuration has no {part!r}; did you mean {meant!r}?"


def _elsewhere(base: DictConfig, name: str, command: str) -> str | None:
    """The key whose last part is this name, or nearly so, or for which nearly this word stands; None without one."""
    keys = {key: key for key in map(str, base) if key != "hydra"}
    last: dict[str, str] = {}
    for leaf in _leaves(base, ""):
        last.setdefault(leaf.rsplit(".", 1)[-1], leaf)
    known = {**last, **ALIASES.get(command, {}), **keys}
    near = name if name in known else near_name(name, known)
    return known[near] if near else None


def _leaves(node: DictConfig, path: str) -> list[str]:
    """All dotted paths below a node."""
    found = []
    for inner, child in children(node, path):
        if inner == "hydra":
            continue
        if isinstance(child, DictConfig) and not (child._is_interpolation() or child._is_none() or child._is_missing()):
            found += _leaves(child, inner)
        else:
            found.append(inner)
    return found


def unknown(path: str, user: str, allowed: Iterable[str]) -> str:
    names = [name for name in allowed if name not in HYDRA_KEYS and name != "hydra"]
    key = path.rsplit(".", 1)[-1]
    near = near_name(key, names)
    there_are = f"there are {', '.join(sorted(names))}" if names else "it has no settings"
    hint = f"did you mean {near!r}?" if near else there_are
    return f"unknown key {path!r}: {user} has no {key!r}; {hint}"


def children(node: DictConfig | ListConfig, path: str) -> list[tuple[str, Any]]:
    """(dotted path, node) of what is below a node."""
    if isinstance(node, ListConfig):
        return [(f"{path}[{i}]", node._get_node(i)) for i in range(len(node))]
    return [(f"{path}.{key}" if path else str(key), node._get_node(key)) for key in node]


def has_entries(node: Any) -> bool:
    """Whether a node has keys or entries of its own: it is no value, refers to no other, and is not missing."""
    return isinstance(node, DictConfig | ListConfig) and not (
        node._is_interpolation() or node._is_none() or node._is_missing()
    )


def parts(node: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """(dotted path, node) of everything that is to be built, where it stands, what is inside a part after it."""
    if not has_entries(node):
        return
    if isinstance(node, DictConfig) and "_target_" in node:
        yield path, node
    for inner, child in children(node, path):
        yield from parts(child, inner)
