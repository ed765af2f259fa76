"""Keys that are not there, and the near ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, ListConfig

from difflab.cli.aliases import ALIASES
from difflab.cli.groups import ConfigError, direct_choices, near_name

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
