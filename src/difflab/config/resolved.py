"""A configuration in which every reference is resolved, as plain dictionaries, lists and scalars, and the paths within it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indices from the top of a configuration to a value."""


@dataclass(frozen=True)
class ResolvedConfig:
    """What train.py would run.

    Attributes:
        overrides: The command line that was composed.
        config: Everything that train.py resolves, the wiring in `module` too: the identity is a hash of it.
        derived: Dotted path -> the reference that stands there, as sampler.grid.steps -> ${schedule.steps}; without `module`.
        seeded: Where the seed stands, `seed` itself among them.
    """

    overrides: tuple[str, ...]
    config: Mapping[str, Any]
    derived: Mapping[str, str]
    seeded: tuple[Path, ...]


def with_seed(resolved: ResolvedConfig, seed: int) -> dict[str, Any]:
    """The configuration that composing with this seed would give, without composing."""
    config = copy.deepcopy(dict(resolved.config))
    for path in resolved.seeded:
        node: Any = config
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = seed
    return config


def dotted(path: Path) -> str:
    """("a", "b", 0, "c") -> a.b[0].c."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def leaves(node: Any, path: Path = ()) -> dict[Path, Any]:
    """Path -> value of everything that is neither a mapping nor a list; empty ones of these count as values."""
    if isinstance(node, Mapping) and node:
        inner = [(key, node[key]) for key in node]
    elif isinstance(node, list) and node:
        inner = list(enumerate(node))
    else:
        return {path: node}
    return {found: value for key, child in inner for found, value in leaves(child, (*path, key)).items()}
