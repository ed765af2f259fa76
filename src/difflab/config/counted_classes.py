"""The number of classes, counted from the data where it is left out: data.num_classes=null."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.config.build import cause
from difflab.config.groups import ConfigError
from difflab.reading import parse_json
from difflab.strict_json import dumps


def count_classes(config: DictConfig) -> None:
    """Sets data.num_classes to the number of the data's classes, 0 for images without labels. One that is given stays.

    Args:
        config: Of a training, in which nothing is missing.

    Raises:
        ConfigError: The data cannot be opened.
    """
    data = config.get("data")
    if not isinstance(data, DictConfig) or "num_classes" not in data or data.num_classes is not None:
        return
    node: Any = OmegaConf.to_container(data.dataset, resolve=True)
    try:
        data.num_classes = _counted(dumps(node))
    except (InstantiationException, ValueError, OSError, ImportError) as error:
        raise ConfigError(
            f"data.dataset: {' '.join(cause(error).split())} (the classes are counted from the data unless data.num_classes=... is given)"
        ) from error


@cache
def _counted(node: str) -> int:
    """Of the data set that a node describes."""
    return int(instantiate(parse_json(node, "data.dataset"), _convert_="all").num_classes)
