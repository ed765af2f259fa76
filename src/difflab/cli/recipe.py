"""The recipe of a run in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def recipe(config: DictConfig, module: Any, name: str) -> str:
    """What is trained on what, how, and how it is judged."""
    parameters = sum(p.numel() for p in module.parameters())
    steps, batch = config.trainer.max_steps, config.data.batch_size
    averages = ", ".join(config.ema) or "none"
    guided = ", ".join(config.guidance) or "none"
    rows = [
        ("run", f"{config.run.name}  seed {config.seed}  identity {name}"),
        ("data", f"{_name(config.data.dataset)}  {config.data.channels}x{config.data.image_size}x{config.data.image_size}"
                 f"  {config.data.num_classes or 'no'} classes  batch {batch}"),
        ("model", f"{_name(config.network)} {parameters / 1e6:.2f} M parameters  schedule {_name(config.schedule)}"
                  f"  predicts {_name(config.parameterization)}  variance {_name(config.variance)}"),
        ("training", f"{_name(config.objective)}  {_name(config.optimizer)} lr {config.optimizer.lr:g}  EMA {averages}"
                     f"  {steps} steps = {steps * batch / 1e6:.3g} M images  {config.trainer.precision}"),
        ("judged by", f"{config.eval.num_samples} samples every {config.eval.every} steps  {_name(config.sampler)}"
                      f" ({config.sampler.grid.steps} steps)  guidance {guided}"),
    ]  # fmt: skip
    return "\n".join(f"{label:10} {text}" for label, text in rows)


def _name(node: Any) -> str:
    return str(node._target_).rsplit(".", 1)[-1]
