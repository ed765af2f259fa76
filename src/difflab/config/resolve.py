"""Command lines as resolved configurations and plain options: what a row of a study would run.

Composing takes a tenth of a second, nearly all of which goes into choosing parts, and rows of a study mostly choose the same ones. So a
choice of parts is composed once, and plain values are set on a copy of it, as Hydra sets them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from difflab.config import derived as resolvers
from difflab.config.arguments import check_arguments, check_trainer
from difflab.config.derived import BatchValues, count_classes
from difflab.config.keys import ConfigError, check_keys, check_nothing_missing, compose_or_explain, composing
from difflab.config.options import read_options
from difflab.config.paths import is_group
from difflab.config.resolved import Path, ResolvedConfig, dotted, leaves
from difflab.config.unchosen import drop_unchosen
from difflab.config.values import RunValues, Seeds, check_values
from difflab.config.words import as_meant, readable

WIRING = "module"
"""The node that repeats the others where the module's arguments want them."""


def resolve_row(overrides: Sequence[str]) -> ResolvedConfig:
    """What `train.py <overrides>` would run, with the checks that it makes before it starts. A ConfigError says what is wrong.

    Args:
        overrides: Of the whole command line, as ("+experiment=cosine_adagn", "network.width=64"); any seed will do, see `with_seed`.
    """
    resolvers.add_resolvers()
    overrides = as_meant("train", overrides)
    choices, values = _divided(overrides)
    composition = None if values is None else _with_values(choices, values)
    if composition is None:
        composition = _composition(tuple(overrides))
    config, hydra = composition.config, composition.hydra
    check_nothing_missing(config)
    if config.data.num_classes is None:
        config = copy.deepcopy(config)  # that is kept for other rows
        with _as_running(hydra):
            count_classes(config)
    check_trainer(
        config.trainer, _composition(()).config.trainer
    )  # values that were set after the composition was checked
    derived = {dotted(path): raw for path, raw in _references(config, ()) if path[0] != WIRING}
    try:
        with _as_running(hydra):
            check_values(config, Seeds, RunValues, BatchValues)
            check_arguments(config)
        seeded = composition.seeded or _seeded(config, hydra)
        return ResolvedConfig(tuple(overrides), _plain(config, hydra), derived, seeded)
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error


def resolve_options(command: str, words: Sequence[str], *options: type) -> tuple[Any, ...]:
    """What a command would be told by these words, checked as it checks them.

    Args:
        command: sample or evaluate.
        words: Of its command line, as ("steps=25", "sampler.eta=1").
        options: Classes of options.

    Returns:
        An object of each class of options.

    Raises:
        ConfigError: The command would not take these words.
    """
    resolvers.add_resolvers()
    with composing():
        config = compose_or_explain(command, list(words))
        OmegaConf.set_struct(config, False)
        config.pop("hydra")
        drop_unchosen(config)
        check_nothing_missing(config)
        return tuple(read_options(one, config) for one in options)


class _Composition(NamedTuple):
    """A configuration that was composed for a row.

    Attributes:
        config: Without what is not chosen, its keys checked.
        hydra: What Hydra says of itself.
        seeded: Where the seed stands; empty if something is missing without which that cannot be told.
    """

    config: DictConfig
    hydra: DictConfig
    seeded: tuple[Path, ...]


def _divided(overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override] | None]:
    """The choices of parts, and the values that are set; no values (None) where any does more than to set a plain one."""
    try:
        parsed = OverridesParser.create().parse_overrides(readable(overrides))
    except HydraException:
        return (), None
    chosen = [one for one in parsed if is_group(one.key_or_group)]
    values = [one for one in parsed if one not in chosen]
    if any(one.is_sweep_override() for one in parsed) or not all(map(_is_plain, values)):
        return (), None
    return tuple(str(one.input_line) for one in chosen), values


def _is_plain(override: Override) -> bool:
    if override.is_add() or override.is_delete() or override.package is not None or override.is_sweep_override():
        return False
    value, key = override.value(), override.key_or_group
    scalars = all(one is None or isinstance(one, bool | int | float | str) for one in _entries(value))
    return scalars and "${" not in str(value) and not key.endswith("_target_") and not key.startswith("hydra.")


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _with_values(choices: tuple[str, ...], values: Sequence[Override]) -> _Composition | None:
    """The choices' composition with these values.

    None if one of them does not fit, stands for a part, or replaces the seed where it is referred to: what holds for the choices need then
    not hold.
    """
    config, hydra, seeded = _composition(choices)
    changed = {override.key_or_group for override in values} - {"seed"}
    if not seeded or any(dotted(path[:length]) in changed for path in seeded for length in range(1, len(path) + 1)):
        return None
    config = copy.deepcopy(config)
    for override in values:
        if not _is_like(_node(config, override.key_or_group), override.value()):
            return None
        try:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return None
    return _Composition(config, hydra, seeded)


def _node(config: DictConfig, key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, DictConfig) or node._is_interpolation() or node._is_none() or part not in list(node):
            return None
        node = node._get_node(part)
    return node


def _is_like(node: Any, value: Any) -> bool:
    """Whether a scalar stands for a scalar, a list of them for a list of them, or either for a reference: no key is then another."""
    if node is None or node._is_interpolation():
        return node is not None
    if isinstance(node, DictConfig):
        return False
    if not isinstance(node, ListConfig):
        return not isinstance(value, list)
    inner: list[Any] = [] if node._is_none() or node._is_missing() else [node._get_node(i) for i in range(len(node))]
    return isinstance(value, list) and not any(isinstance(one, DictConfig | ListConfig) for one in inner)


@cache
def _composition(overrides: tuple[str, ...]) -> _Composition:
    whole = _explained(overrides)
    hydra = OmegaConf.masked_copy(whole, "hydra")
    with open_dict(whole):
        del whole["hydra"]
    if overrides:
        with _as_running(hydra):
            drop_unchosen(whole)
            check_keys(whole, _composition(()).config)
    try:
        return _Composition(whole, hydra, _seeded(whole, hydra))
    except OmegaConfBaseException:
        return _Composition(whole, hydra, ())


def _explained(overrides: Sequence[str]) -> DictConfig:
    with composing():
        return compose_or_explain("train", list(overrides))


@contextmanager
def _as_running(hydra: DictConfig) -> Iterator[None]:
    """Within the context resolvers see the experiment that was chosen."""
    state = HydraConfig.instance()
    before = state.cfg
    state.cfg = hydra  # type: ignore[assignment]
    try:
        yield
    finally:
        state.cfg = before


def _plain(config: DictConfig, hydra: DictConfig) -> dict[str, Any]:
    with _as_running(hydra):
        resolved: Any = OmegaConf.to_container(config, resolve=True)
    return resolved


def _references(node: DictConfig | ListConfig, path: Path) -> list[tuple[Path, str]]:
    """(path, ${...}) of the values that are computed from others."""
    found: list[tuple[Path, str]] = []
    keys: list[Any] = list(range(len(node))) if isinstance(node, ListConfig) else list(node)
    for key in keys:
        child: Any = node._get_node(key)
        inner = (*path, key)
        if child._is_interpolation():
            found.append((inner, str(child._value())))
        elif isinstance(child, DictConfig | ListConfig) and not child._is_none() and not child._is_missing():
            found += _references(child, inner)
    return found


def _seeded(config: DictConfig, hydra: DictConfig) -> tuple[Path, ...]:
    """Where the seed stands, from what changes with it."""
    check_values(config, Seeds)
    seed = config.seed
    other_config = copy.deepcopy(config)
    other_config.seed = other_seed = seed + 1_000_003
    one, other = leaves(_plain(config, hydra)), leaves(_plain(other_config, hydra))
    changed = [path for path in one.keys() | other.keys() if path not in one or one[path] != other.get(path)]
    for path in changed:
        if (one.get(path), other.get(path)) != (seed, other_seed):
            raise ConfigError(
                f"{dotted(path)} is computed from the seed in another way than ${{seed}}: a study's rows have it as it is, or not at all"
            )
    return tuple(sorted(changed, key=dotted))
