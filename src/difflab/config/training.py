"""What training is told: the configuration checked, completed and made plain, before anything large is built."""

from __future__ import annotations

import copy
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from difflab.config.arguments import check_arguments
from difflab.config.build import as_yaml, build, cause, plain
from difflab.config.derived import BatchValues, count_classes, divide
from difflab.config.groups import ConfigError, command_words
from difflab.config.keys import check_keys, check_nothing_missing
from difflab.config.run import schema
from difflab.config.trust import trust
from difflab.config.unchosen import drop_unchosen
from difflab.config.values import RunValues, Seeds, check_values
from difflab.data import DataError


def check_place(said: str, path: str | Path) -> None:
    """Raises a ConfigError where a folder cannot be made or nothing written into it. Makes nothing itself.

    Args:
        said: As the user has typed it, run.root=/data/runs.
        path: Of the folder.
    """
    words = str(path)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in words):
        raise ConfigError(f"{said!r}: a path with a line break or another control character: leave that out")
    try:
        above = Path(words).absolute()
        while not _exists(above):
            above = above.parent
        longest, whole = (os.pathconf(above, limit) for limit in ("PC_NAME_MAX", "PC_PATH_MAX"))
    except (OSError, ValueError) as error:  # a file in the place of a folder
        raise ConfigError(f"{_short(said)}: no such folder can be made ({_reason(error)}): choose another") from error
    if any(len(os.fsencode(part)) > longest for part in Path(words).parts):
        raise ConfigError(f"{_short(said)}: a name is longer than the {longest} bytes that it may have: choose another")
    if len(os.fsencode(Path(words).absolute())) >= whole:
        raise ConfigError(f"{_short(said)}: the path is longer than the {whole} bytes that it may have: choose another")
    if not above.is_dir():
        raise ConfigError(f"{said}: {above} is a file, where a folder must be: choose another")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{said}: {above} cannot be written to: choose another folder, or have it made writable")


def _exists(path: Path) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        if path == path.parent:
            raise
        return False
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False
    return True


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _short(said: str) -> str:
    return said if len(said) < 200 else f"{said[:80]} ... {said[-40:]}"


@dataclass(frozen=True)
class TrainingOptions:
    """A training as its command describes it.

    Attributes:
        config: The resolved configuration, plain: of it the identity is a hash.
        yaml: The same as the run stores it.
        words: The command line's, from which another process can do the same work.
        launcher: Takes the work to where it is done.
        strategy: How the model lies over the processes.
        processes: How many of them there will be.
    """

    config: Mapping[str, Any]
    yaml: str
    words: tuple[str, ...]
    launcher: Any
    strategy: Any
    processes: int
    _nodes: DictConfig = field(repr=False)
    _typed: DictConfig = field(repr=False)

    @property
    def name(self) -> str:
        """The run's name, of which its folder is."""
        return str(self.config["run"]["name"])

    @property
    def folder(self) -> str:
        """The folder of the directories of the runs of this name."""
        return f"{self.config['run']['root']}/{self.name}"

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def batch_size(self) -> int:
        """Images per optimizer step."""
        return self.config["data"]["batch_size"]

    def build(self, part: str, **given: Any) -> Any:
        """Builds the part that stands under a key of the configuration.

        Args:
            part: The key, as "module".
            given: Arguments that its node leaves open.

        Raises:
            ConfigError: It cannot be built. The message names the key that the user has typed.
        """
        return build(self._nodes[part], self._typed, **given)


def complete(config: DictConfig) -> None:
    """Takes out what was deselected, checks every key, and counts the classes of the data where nobody has said how many there are.

    Raises:
        ConfigError: A key is used by nothing, or a value is missing.
    """
    drop_unchosen(config)
    check_keys(config, schema("train"))
    check_nothing_missing(config)
    count_classes(config)


def checked_training(config: DictConfig) -> TrainingOptions:
    """Checks a configuration, and completes it by what the number of processes decides.

    Args:
        config: Of train.yaml, composed. It is resolved here.

    Raises:
        ConfigError: What can be known to be wrong before anything large is built.
    """
    typed = copy.deepcopy(config)
    complete(config)
    check_values(config, Seeds, RunValues, BatchValues)
    if type(config.trainer.max_time) is int:  # what a yaml file's unquoted 12:00:00 is: a number of seconds
        config.trainer.max_time = str(config.trainer.max_time)
    check_arguments(config)
    check_place(f"run.root={config.run.root} run.name={config.run.name}", f"{config.run.root}/{config.run.name}")
    trust(config.trust)
    try:
        launcher = build(config.launcher)
        processes = divide(config, launcher.processes, launcher.starts_other_nodes)
        OmegaConf.resolve(config)
        strategy = build(config.strategy)
        strategy.check(processes, str(config.trainer.precision), get_class(config.optimizer._target_))
    except InstantiationException as error:
        raise ConfigError(cause(error)) from error
    except (ValueError, DataError, OmegaConfBaseException) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    words = tuple(command_words())
    return TrainingOptions(plain(config), as_yaml(config), words, launcher, strategy, processes, config, typed)
