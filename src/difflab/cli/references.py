"""Values that a part takes from another one, as the shift of the mean takes the variance of the sampler's steps."""

from __future__ import annotations

import re

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from difflab.cli.groups import ConfigError
from difflab.cli.places import config_files
from difflab.reading import read_yaml

_NOT_FOUND = re.compile(r"Interpolation key '([^']+)' not found")


def check_references(config: DictConfig) -> None:
    """Raises a ConfigError for a value that is taken from a part which has no such value.

    Args:
        config: Of a model, with all of its parts.
    """
    try:
        OmegaConf.to_container(config, resolve=True)
    except InterpolationKeyError as error:
        if explained := lacking(error, str(error.full_key), config):
            raise ConfigError(explained) from error
        raise


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
    return f"{part} needs the {key} of the {group}, and {chosen or 'this one'} has none: add {' or '.join(having)}, or choose no {part}"
