"""DeepSpeed's ZeRO for Lightning, on GPUs and on CPUs, with checkpoints that are those of one process.

Lightning's own DeepSpeedStrategy wants GPUs, casts every input (the noise levels too) to the network's precision, and writes a folder of
shards that only the same strategy on as many processes reads.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor, optim
from torch.optim import Optimizer

from difflab.runtime.invocation import installation
from difflab.runtime.process import SLACK
from difflab.sharding import trainable
from difflab.suggest import suggestion
from difflab.training.optimizers import Optimizers
from difflab.training.sharding.deepspeed_shards import ZeRO2Sharding, ZeRO3Sharding, ZeROSharding
from difflab.training.sharding.strategy import (
    ShardedStrategy,
    TrainingStrategy,
    by_name,
    canonical,
    check_sharded_precision,
    take_options,
    timeout_of,
)


class ZeROStrategy(ShardedStrategy):
    """Gradients, optimizer state and weights are DeepSpeed's.

    Args:
        zero: DeepSpeed's `zero_optimization` section.
        timeout: How long a process waits for the others.
    """

    def __init__(self, zero: Mapping[str, Any], timeout: timedelta):
        super().__init__(timeout=timeout)
        self.zero = dict(zero)
        self.engine: Any = None

    def setup(self, trainer: pl.Trainer) -> None:
        module = self.placed(trainer)
        self.setup_optimizers(trainer)
        (optimizer,) = self.optimizers
        deepspeed = imported(self.root_device)
        os.environ.setdefault("LOCAL_RANK", str(self.local_rank))
        deepspeed.init_distributed(self.process_group_backend, auto_mpi_discovery=False, dist_init_required=False)
        device = self.root_device.index if self.root_device.index is not None else self.local_rank
        self.engine, *_ = deepspeed.initialize(
            args=argparse.Namespace(device_rank=device),  # DeepSpeed reads it from the command line else
            config=self._config(trainer),
            model=module,
            optimizer=optimizer,
            dist_init_required=False,
        )
        self.model = self.engine
        self.optimizers = [self.engine.optimizer]  # whose groups are those of the plain one: schedules go on working
        self._plain: Optimizer = optimizer
        kind = ZeRO3Sharding if self.zero["stage"] == 3 else ZeRO2Sharding
        self.sharding: ZeROSharding = kind(self.engine.optimizer)
        module.shard_as(self.sharding)
        self.setup_precision_plugin()
        self.barrier()

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Around the micro-batches after which no optimizer step comes."""
        self.engine.set_gradient_accumulation_boundary(False)
        yield
        self.engine.set_gradient_accumulation_boundary(True)

    def backward(self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> Tensor:
        loss = self.precision_plugin.pre_backward(closure_loss, self.module)
        self.engine.backward(loss, scale_wrt_gas=False)  # Lightning has divided by the accumulated batches
        return self.precision_plugin.post_backward(loss, self.module)

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any) -> Any:
        step: Any = _EngineStep(self.engine)
        return self.precision_plugin.optimizer_step(step, model=model or self.module, closure=closure)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """All weights on the host, on process 0 alone."""
        module = self.module
        weights = self.sharding.gather(module, self.sharding.local_shards(module))
        if not self.is_global_zero:
            return {}
        return {name: value.cpu() for name, value in {**module.state_dict(), **weights}.items()}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        module = self.module
        saved = checkpoint["state_dict"]
        weights = trainable(module)
        missing, unknown = module.state_dict().keys() - saved.keys(), saved.keys() - module.state_dict().keys()
        if strict and (missing or unknown):
            raise ValueError(
                f"the checkpoint is not of this model: missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        self.sharding.load(module, self.sharding.shard(module, {name: saved[name] for name in weights}))
        frozen = ((name, p.data) for name, p in module.named_parameters() if not p.requires_grad)
        for name, value in (*frozen, *module.named_buffers()):
            if name in saved:
                value.copy_(saved[name])
        self.engine.optimizer.refresh_fp32_params()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        from deepspeed.utils.tensor_fragment import safe_get_full_optimizer_state

        weights = trainable(self.module.model)
        states: dict[str, dict[str, Any]] = {name: {} for name in weights}
        flat = next(iter(self._plain.state.values()), {})
        if flat:
            self.sharding.link_state()
        for key, value in flat.items():
            for name, p in weights.items():
                whole = safe_get_full_optimizer_state(p, key) if value.dim() else value.clone()
                if self.is_global_zero and whole is not None:
                    states[name][key] = whole.cpu()
        return canonical(self.module, states, self._plain)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        (saved,) = checkpoint["optimizer_states"]
        weights = trainable(self.module.model)
        states = by_name(self.module, saved, self._plain)
        first = next(iter(states.values()))
        for piece in self.sharding.flat_pieces():
            self._plain.state[piece] = {
                key: torch.zeros_like(piece) if value.dim() else value.clone() for key, value in first.items()
            }
        self.sharding.link_state()
        take_options(saved, self._plain)
        for key, value in first.items():
            for name, p in weights.items():
                if value.dim():
                    self.sharding.load_state(p, states[name][key].to(self.root_device), key)

    def _config(self, trainer: pl.Trainer) -> dict[str, Any]:
        """DeepSpeed's configuration. Batches are cut elsewhere: the sizes here only have to agree with each other."""
        half = str(trainer.precision).startswith("bf16")
        return {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": trainer.gradient_clip_val or 0.0,
            "zero_optimization": self.zero,
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,  # torch's own on the host too: no compiler, the same numbers
            "torch_autocast": {"enabled": half, "dtype": "bfloat16", "lower_precision_safe_modules": []},
            "steps_per_print": 2**31 - 1,
        }


class _EngineStep:
    """Stands where Lightning's precision plugin expects an optimizer. It has nothing to clip: DeepSpeed does that."""

    def __init__(self, engine: Any):
        self.engine = engine
        self.param_groups = [{"params": [torch.nn.Parameter(torch.zeros(0))]}]

    def step(self, closure: Callable[[], Any]) -> Any:
        result = closure()
        self.engine.step()
        return result


def imported(device: torch.device) -> Any:
    """The deepspeed package, for this kind of device."""
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    import deepspeed
    from deepspeed.accelerator import get_accelerator

    # it warns of outputs that it cannot look into and of its own use of old names in torch
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*torch.distributed.* is deprecated.*", category=FutureWarning)
    accelerator = get_accelerator()
    assert accelerator is not None
    found = accelerator.device_name()
    if found != device.type:
        raise ValueError(
            f"DeepSpeed has been set up for {found}, but trainer.accelerator means {device.type}: set the environment's "
            f"DS_ACCELERATOR={device.type}"
        )
    if device.type == "cpu":
        # else the first run compiles an all-reduce over shared memory for a minute; gloo does it
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


ELEMENTWISE = (
    optim.Adam,
    optim.AdamW,
    optim.Adamax,
    optim.NAdam,
    optim.RAdam,
    optim.RMSprop,
    optim.SGD,
)
"""torch's optimizers that treat every element alike: ZeRO shows them flat pieces of all weights. One of your own says so of itself, by
`treats_elements_alike = True`."""


class DeepSpeed(TrainingStrategy):
    """ZeRO (arXiv 1910.02054) by DeepSpeed.

    Stage 1 divides the optimizer state over the processes, 2 also the gradients, 3 also the weights. The network computes in
    trainer.precision, weights and optimizer state are float32.

    Args:
        zero: DeepSpeed's own `zero_optimization` section: stage, offload_optimizer, offload_param, bucket sizes ...
        timeout: Minutes that a process waits for the others before it fails.
    """

    packages = ("deepspeed",)
    cuts_flat = True

    def __init__(self, zero: Mapping[str, Any], timeout: float = 30):
        if zero.get("stage") not in (1, 2, 3):
            raise ValueError(f"strategy.zero.stage={zero.get('stage')}: ZeRO has the stages 1, 2 and 3")
        if importlib.util.find_spec("deepspeed") is None:
            raise ValueError(f"strategy=deepspeed_* needs DeepSpeed: {installation('deepspeed')}")
        self.zero = dict(zero)
        self.divides_all = zero["stage"] == 3
        self.timeout = timeout_of(timeout)

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        check_sharded_precision(f"deepspeed_{self.zero['stage']}", precision)
        if issubclass(optimizer, Optimizers):
            raise ValueError(
                f"strategy=deepspeed_{self.zero['stage']} has one optimizer for all weights, and {optimizer.__name__} is several: use "
                "strategy=ddp or fsdp, or one optimizer, as optimizer=adamw"
            )
        if not getattr(optimizer, "treats_elements_alike", optimizer in ELEMENTWISE):
            known = ", ".join(one.__name__ for one in ELEMENTWISE)
            raise ValueError(
                f"strategy=deepspeed_{self.zero['stage']} cuts the weights into flat pieces, which "
                f"{optimizer.__name__} may not treat as it treats whole weights: use one of {known}, strategy=ddp or fsdp, "
                "or say treats_elements_alike = True in a class of your own that does"
            )

        check_section(self.zero)

    def lightning(self, processes: int) -> Strategy:
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
        unknown = suggestion(key.rpartition(".")[2], keys)
        said = (
            f"unknown key: {unknown}" if first["type"] == "extra_forbidden" else f"{first['input']!r}: {first['msg']}"
        )
        raise ValueError(f"{key}: {said}") from error
