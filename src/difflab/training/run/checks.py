"""What can be known to be wrong with a training before anything large is built."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from difflab.config.arguments import check_arguments
from difflab.config.batch_split import BATCH_VALUES, divide
from difflab.config.build import cause
from difflab.config.counted_classes import count_classes
from difflab.config.keys import ConfigError, check_keys, check_nothing_missing, composed, drop_unchosen
from difflab.config.place import check_place
from difflab.config.trust import trust
from difflab.config.values import OF_A_RUN, SEEDS, check_values
from difflab.data import DataError


def checked_training(config: DictConfig) -> tuple[Any, Any, int]:
    """The launcher, the strategy and the number of processes, of a configuration that is resolved and completed for them.

    Raises:
        ConfigError: What can be known to be wrong before anything large is built.
    """
    drop_unchosen(config)
    check_keys(config, composed("train"))
    check_nothing_missing(config)
    count_classes(config)
    check_values(config, SEEDS | OF_A_RUN | BATCH_VALUES)
    if type(config.trainer.max_time) is int:  # what a yaml file's unquoted 12:00:00 is: a number of seconds
        config.trainer.max_time = str(config.trainer.max_time)
    check_arguments(config)
    check_place(f"run.root={config.run.root} run.name={config.run.name}", f"{config.run.root}/{config.run.name}")
    trust(config.trust)
    try:
        launcher = instantiate(config.launcher, _convert_="all")
        processes = divide(config, launcher.processes)
        OmegaConf.resolve(config)
        strategy = instantiate(config.strategy, _convert_="all")
        strategy.check(processes, str(config.trainer.precision), get_class(config.optimizer._target_))
    except InstantiationException as error:
        raise ConfigError(cause(error)) from error
    except (ValueError, DataError, OmegaConfBaseException) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return launcher, strategy, processes
