"""What the configuration can compute."""

from __future__ import annotations

import math
import sys
from typing import Any

from omegaconf import OmegaConf


def add_resolvers() -> None:
    """Makes the resolvers known to OmegaConf:

    ${product:a,b,...}               a * b * ...
    ${largest:a,b,...}               the largest of them
    ${out_channels:c,${variance}}    output channels of a network for images of c channels and a variance
    ${experiment_name:}              the experiment that was chosen, or "default"
    ${python:}                       the interpreter that runs this
    ${oc.env:NAME,default}           a variable of the environment, as in OmegaConf; but not one that is called a secret: config.yaml, W&B
                                     and results.json would hold its value
    """
    OmegaConf.register_new_resolver("product", lambda *factors: math.prod(factors), replace=True)
    OmegaConf.register_new_resolver("largest", lambda *values: max(values), replace=True)
    OmegaConf.register_new_resolver("out_channels", _out_channels, replace=True)
    OmegaConf.register_new_resolver("experiment_name", _experiment_name, replace=True)
    OmegaConf.register_new_resolver("python", lambda: sys.executable, replace=True)
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)


def _out_channels(channels: int, variance: Any) -> int:
    from hydra.utils import get_class

    return channels * (1 + get_class(variance["_target_"]).channels)


def _environment(name: str, *default: Any) -> Any:
    from omegaconf.resolvers import oc

    from difflab.runs.provenance import SECRET

    if SECRET.search(name):
        raise ValueError(
            f"oc.env:{name} is called a secret, and a run writes its configuration down (config.yaml, W&B, results.json): leave it in the "
            "environment, where the code that needs it can read it"
        )
    return oc.env(name, *default)


def _experiment_name() -> str:
    from hydra.core.hydra_config import HydraConfig

    chosen = HydraConfig.get().runtime.choices.get("experiment") if HydraConfig.initialized() else None
    return chosen or "default"
