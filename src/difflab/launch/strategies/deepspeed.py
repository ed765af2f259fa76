"""strategy=deepspeed_1, deepspeed_2, deepspeed_3 and their offload variants"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.strategies import Strategy
from torch import optim
from torch.optim import Optimizer

from difflab.invocation import installation
from difflab.launch.rank import SLACK
from difflab.launch.strategies.strategy import TrainingStrategy, check_sharded_precision, patience

ELEMENTWISE = (
    optim.Adam,
    optim.AdamW,
    optim.Adamax,
    optim.NAdam,
    optim.RAdam,
    optim.RMSprop,
    optim.SGD,
)
"""Optimizers that treat every element alike: ZeRO shows them flat pieces of all weights."""


class DeepSpeed(TrainingStrategy):
    """ZeRO (arXiv 1910.02054) by DeepSpeed: stage 1 divides the optimizer state over the processes, 2 also the gradients, 3 also the
    weights. The network computes in trainer.precision, weights and optimizer state are float32.

    zero      DeepSpeed's own `zero_optimization` section: stage, offload_optimizer, offload_param, bucket sizes ...
    timeout   minutes that a process waits for the others before it fails
    """

    cuts_flat = True

    def __init__(self, zero: Mapping[str, Any], timeout: float = 30):
        if zero.get("stage") not in (1, 2, 3):
            raise ValueError(f"strategy.zero.stage={zero.get('stage')}: ZeRO has the stages 1, 2 and 3")
        if importlib.util.find_spec("deepspeed") is None:
            raise ValueError(f"strategy=deepspeed_* needs DeepSpeed: {installation('deepspeed')}")
        self.zero = dict(zero)
        self.timeout = patience(timeout)

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        check_sharded_precision(f"deepspeed_{self.zero['stage']}", precision)
        if optimizer not in ELEMENTWISE:
            known = ", ".join(one.__name__ for one in ELEMENTWISE)
            raise ValueError(
                f"strategy=deepspeed_{self.zero['stage']} cuts the weights into flat pieces, which "
                f"{optimizer.__name__} may not treat as it treats whole weights: use one of {known}, or strategy=ddp or fsdp"
            )

        check_section(self.zero)

    def lightning(self, processes: int) -> Strategy:
        from difflab.launch.strategies.zero import ZeROStrategy  # imports DeepSpeed

        return ZeROStrategy(self.zero, self.timeout + SLACK)


def check_section(zero: Mapping[str, Any]) -> None:
    """Raises a ValueError for a key or a value that DeepSpeed's `zero_optimization` section does not have."""
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from pydantic import ValidationError

    try:
        DeepSpeedZeroConfig.model_validate(dict(zero))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(map(str, ("strategy.zero", *first["loc"])))
        keys = sorted(DeepSpeedZeroConfig.model_fields)
        near = difflib.get_close_matches(key.rpartition(".")[2], keys, n=1)
        unknown = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(keys)}"
        said = (
            f"unknown key: {unknown}" if first["type"] == "extra_forbidden" else f"{first['input']!r}: {first['msg']}"
        )
        raise ValueError(f"{key}: {said}") from error
