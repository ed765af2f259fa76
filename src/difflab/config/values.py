"""Values of a wrong kind, found before anything is built.

check_values(config, {"num_samples": Whole(1), "eta": OrNull(Real(0)), "overwrite": Switch()})
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from difflab.config.groups import ConfigError


class Kind(ABC):
    """What a value must be.

    description   as in "num_samples=abc must be <description>"
    """

    description: str

    @abstractmethod
    def takes(self, value: Any) -> bool:
        """Whether this value is of the kind."""


class Whole(Kind):
    """A whole number.

    Args:
        least: The smallest one.
        most: The largest one; None for any.
    """

    def __init__(self, least: int, most: int | None = None):
        self.least, self.most = least, most
        self.description = f"a whole number, at least {least}" + ("" if most is None else f" and at most {most}")

    def takes(self, value: Any) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value >= self.least
            and (self.most is None or value <= self.most)
        )


class Real(Kind):
    """A finite number.

    Args:
        least: The smallest one; None for any.
        most: The largest one; None for any.
    """

    def __init__(self, least: float | None = None, most: float | None = None):
        self.least, self.most = -math.inf if least is None else least, math.inf if most is None else most
        self.description = "a number" if least is None else f"a number, at least {least:g}"
        self.description += "" if most is None else f" and at most {most:g}"

    def takes(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and self.least <= value <= self.most


class Switch(Kind):
    """true or false."""

    description = "true or false"

    def takes(self, value: Any) -> bool:
        return isinstance(value, bool)


class Text(Kind):
    """What is not a list and, written out, matches a pattern.

    description   what the pattern stands for
    pattern       regular expression of the whole text
    """

    def __init__(self, description: str, pattern: str = r"(?s).+"):
        self.description = description
        self._pattern = re.compile(pattern)

    def takes(self, value: Any) -> bool:
        return isinstance(value, str | int | float) and self._pattern.fullmatch(str(value)) is not None


class Limits(Kind):
    """Two numbers, the smaller one first."""

    description = "two numbers, as [-1,1]"

    def takes(self, value: Any) -> bool:
        numbers = list(value) if isinstance(value, list | tuple | ListConfig) else []
        return len(numbers) == 2 and all(Real().takes(number) for number in numbers) and numbers[0] < numbers[1]


class OrNull(Kind):
    """That, or null for what the command finds by itself."""

    def __init__(self, kind: Kind):
        self._kind = kind
        self.description = f"{kind.description}, or null"

    def takes(self, value: Any) -> bool:
        return value is None or self._kind.takes(value)


SEED = Whole(0, 2**64 - 1)
"""What a generator of torch can begin with."""

OF_A_RUN = {
    "trainer.max_steps": Whole(1),
    "run.name": Text(
        "a name, or several with / between them, none of them . or ..", r"(?!/)(?!(.*/)?\.{1,2}(/|$))[^\\]+"
    ),
    "condition_dropout": Real(0, 1),
    "trainer.log_every_n_steps": Whole(1),
    "trainer.gradient_clip_val": OrNull(Real(0)),
    "trainer.precision": Text("32-true, bf16-mixed or 16-mixed: weights stay float32", r"32(-true)?|(bf)?16(-mixed)?"),
    "eval.num_samples": Whole(1),
    "eval.batch_size": Whole(1),
    "eval.grid": Whole(1),
    "eval.score_splits": Whole(1),
    "checkpoint.every": Whole(1),
    "checkpoint.keep_last": Whole(1),
    "checkpoint.milestone": Whole(0),
    "ema_snapshots.every": Whole(0),
    "run.root": Text("a folder"),
    "run.restart": Switch(),
    "run.margin": Real(0),
    "data.num_workers": Whole(0),
    "data.max_images": OrNull(Whole(2)),
}
"""Of a training: what no constructor is asked for, or what Lightning and torch take as it comes; what it is called, below run.root."""

SEEDS = {"seed": SEED, "data.seed": SEED, "module.seed": SEED}
"""Of a training."""


def check_values(config: DictConfig, kinds: Mapping[str, Kind]) -> None:
    """Raises a ConfigError for a value of another kind than its dotted key wants. Keys that the configuration has not are left out."""
    for key, kind in kinds.items():
        above, _, name = key.rpartition(".")
        node = OmegaConf.select(config, above) if above else config
        if not isinstance(node, DictConfig) or name not in node:
            continue
        value = node[name]
        if not kind.takes(value):
            shown = json.dumps(value) if value is None or isinstance(value, bool) else value
            raise ConfigError(f"{key}={shown} must be {kind.description}")
