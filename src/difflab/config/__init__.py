"""From a command line to a checked configuration: the only package that sees Hydra and OmegaConf."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.config.groups import ConfigError
    from difflab.config.resolved import ResolvedConfig, with_seed

__all__ = [
    "ConfigError",
    "ResolvedConfig",
    "with_seed",
]

on_demand(__name__)
