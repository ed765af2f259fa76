"""What files say of parts that are not chosen in the end: an experiment's settings of what the command has exchanged for something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from difflab.config.groups import ConfigError, choose, command_words, direct_choices, is_global, is_typed, takes_several
from difflab.config.keys import composing, unused_keys
from difflab.config.near_keys import children, has_entries, parts, unknown
from difflab.config.paths import config_files, is_group, search_words
from difflab.data.errors import warn
from difflab.former_names import PRESENT
from difflab.reading import read_yaml


def drop_unchosen(config: DictConfig) -> None:
    """Takes out an experiment's settings of parts that the command has deselected, or exchanged for others that have no such keys.

    `ema=[power_function]` on an experiment that sets ema.warm_up.decay leaves {decay: ...} behind, without a `_target_`. A name that is no
    choice of the group at all is a mistake. `network=superres` on one that sets network.width leaves a key behind that nothing takes; the
    user is told which. Parts are named as they are now (`name_as_now`).

    Args:
        config: Composed; it is changed.

    Raises:
        ConfigError: A name or a key is wrong whatever is chosen.
    """
    name_as_now(config)
    for group in [str(key) for key in config if takes_several(str(key))]:
        node = config.get(group)
        if not isinstance(node, DictConfig):
            continue
        choices = direct_choices(group)
        for name in [str(name) for name in node]:
            part: Any = node._get_node(name)
            if not isinstance(part, DictConfig) and not part._is_interpolation():
                raise ConfigError(
                    f"{group}.{name}={part._value()} stands where a part must be{choose(f'{group}.{name}')}"
                )
            if isinstance(part, DictConfig) and "_target_" not in part:
                if name not in choices:
                    raise ConfigError(unknown(f"{group}.{name}", f"{group} (a part without _target_)", choices))
                with open_dict(node):
                    del node[name]
    if layers := list(_layers()):
        _drop_exchanged(config, layers)


def name_as_now(config: DictConfig | ListConfig, path: str = "") -> None:
    """Gives parts that a configuration names as an earlier version did the names that they have now, and tells the user."""
    for inner, child in children(config, path):
        if not has_entries(child):
            continue
        if isinstance(child, DictConfig) and "_target_" in child:
            named: Any = child._get_node("_target_")
            if now := PRESENT.get(str(named._value())):
                warn(f"deprecated: {inner}._target_={named._value()} is {now} now")
                child["_target_"] = now
        name_as_now(child, inner)


class _Layer(NamedTuple):
    """A file that is laid over the whole configuration, as an experiment is.

    Attributes:
        name: As the command would choose it, experiment=cosine_adagn.
        sets: Its own values.
        chooses: Group -> choice that its defaults list takes in place of another.
    """

    name: str
    sets: Mapping[str, Any]
    chooses: Mapping[str, Any]


def _layers() -> Iterator[_Layer]:
    """The files that the command lays over the configuration, each after those that it builds on."""
    for word in command_words():
        group = word.lstrip("+").partition("=")[0]
        if is_group(group) and is_global(group):
            yield from _layer(group, str(HydraConfig.get().runtime.choices.get(group)))


def _layer(group: str, choice: str) -> Iterator[_Layer]:
    if choice not in (files := config_files(group)):
        return
    content, chooses = dict(read_yaml(files[choice])), dict[str, Any]()
    for entry in content.pop("defaults", []):
        if (
            isinstance(entry, str) and entry != "_self_"
        ):  # a file of another folder from its root, one of this folder by its name
            path = entry.lstrip("/") if entry.startswith("/") else f"{group}/{choice}".rpartition("/")[0] + f"/{entry}"
            yield from _layer(*path.split("/", 1))
        elif isinstance(entry, dict):
            chooses |= {key[10:].lstrip("/"): one for key, one in entry.items() if key.startswith("override /")}
    yield _Layer(f"{group}={choice}", content, chooses)


def _drop_exchanged(config: DictConfig, layers: Sequence[_Layer]) -> None:
    """Takes out what a layer sets inside a part in whose place there is one without such a key; raises where no part ever had it."""
    dropped: dict[str, str] = {}
    for path, part in parts(config):
        for key in unused_keys(part, path):
            where = f"{path}.{key}"
            setting = [i for i, layer in enumerate(layers) if _leaves(_at(layer.sets, where), where)]
            known = all(
                any(_is_known(_alone(layer.name), leaf) for layer in layers[i:])
                for i in setting
                for leaf in _leaves(_at(layers[i].sets, where), where)
            )
            if setting and known and not is_typed(where) and not any(map(is_typed, _leaves(part.get(key), where))):
                dropped[where] = layers[setting[-1]].name
                with open_dict(part):
                    del part[key]
    chosen = HydraConfig.get().runtime.choices
    for i, layer in enumerate(layers):
        for group in [group for group in layer.chooses if group not in chosen and "/" in group]:
            if not any(group in alone.hydra.runtime.choices for one in layers[i:] if (alone := _alone(one.name))):
                raise ConfigError(f"{layer.name} chooses {group}, which there is not: leave that out of it")
            dropped[f"{group}={layer.chooses[group]}"] = layer.name
    if dropped:
        names = ", ".join(dict.fromkeys(dropped.values()))
        warn(f"left out of {names}, since the parts that are chosen now have no such key: {', '.join(dropped)}")


def _at(content: Any, path: str) -> Any:
    """What a file says under a dotted path; None where it says nothing."""
    for name in path.split("."):
        if not isinstance(content, Mapping) or name not in content:
            return None
        content = content[name]
    return content


def _leaves(content: Any, path: str) -> list[str]:
    """The dotted paths of the values below a path; none of what is not there."""
    if isinstance(content, Mapping):
        return [leaf for key in content for leaf in _leaves(content[key], f"{path}.{key}")]
    return [] if content is None else [path]


def _is_known(config: DictConfig | None, path: str) -> bool:
    """Whether every part on a dotted path takes the next key of it."""
    node: Any = config
    for depth, name in enumerate(names := path.split(".")):
        if not isinstance(node, DictConfig) or not has_entries(node) or name not in list(node):
            return False
        if "_target_" in node and name in unused_keys(node, ".".join(names[:depth])):
            return False
        node = node._get_node(name)
    return True


def _alone(name: str) -> DictConfig | None:
    """The command's configuration with nothing but one such file; None where that is none."""
    return _composed(str(HydraConfig.get().job.config_name), name, tuple(search_words()))


@cache
def _composed(command: str, name: str, searched: tuple[str, ...]) -> DictConfig | None:
    with composing():
        for plus in ("+", ""):  # of a group of which the command chooses nothing, or something, by itself
            try:
                return compose(command, overrides=[*searched, f"{plus}{name}"], return_hydra_config=True)
            except (HydraException, OmegaConfBaseException):
                continue
    return None
