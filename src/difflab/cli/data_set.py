"""The data sets of conf/data by name, where images are wanted that a path names otherwise."""

from __future__ import annotations

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from difflab.cli.check import composed
from difflab.cli.choice_names import leads_out
from difflab.cli.places import config_files
from difflab.cli.trained_data import PLACES
from difflab.data import ImageDataset


def data_set(config: DictConfig, name: str) -> ImageDataset | None:
    """The images of that name, as conf/data/<name>.yaml describes them; None if there is no such file, or if it leaves something open.

    Args:
        config: The command's. A reference from the same data set says where the files are.
        name: Of the choice in the group `data`.
    """
    if leads_out(name) or name not in config_files("data"):
        return None
    described = composed("evaluate", [f"data={name}"]).data.dataset
    try:
        node: Any = OmegaConf.to_container(described, resolve=True, throw_on_missing=True)
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        return None
    beside = OmegaConf.select(config, "data.dataset")
    if beside is not None and beside._target_ == node["_target_"]:
        node |= {key: beside[key] for key in PLACES if key in beside}
    return instantiate(node, _convert_="all")
