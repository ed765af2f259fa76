"""The recipe of a run in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from difflab.ema import YOUNG, Averaging, initial_share

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from difflab.cli.evaluation import Evaluation


def recipe(config: DictConfig, module: Any, evaluation: Evaluation, name: str) -> str:
    """What is trained on what, how, and how it is judged."""
    parameters = sum(p.numel() for p in module.parameters())
    steps, batch = config.trainer.max_steps, config.data.batch_size
    averages = (
        ", ".join(_average(name, average, steps) for name, average in module.ema.tracks.averagings.items()) or "none"
    )
    parts = (f"{part} {_name(config[part])}" for part in ("schedule", "parameterization", "variance") if part in config)
    rows = [
        ("run", f"{config.run.name}  seed {config.seed}  identity {name}"),
        ("data", f"{_name(config.data.dataset)}  {config.data.channels}x{config.data.image_size}x{config.data.image_size}"
                 f"  {config.data.num_classes or 'no'} classes  batch {batch}"),
        ("model", f"{_name(config.network)} {parameters / 1e6:.2f} M parameters  {'  '.join(parts)}"),
        ("training", f"{_name(config.objective)}  {_name(config.optimizer)} lr {config.optimizer.lr:g}  EMA {averages}"
                     f"  {steps} steps = {steps * batch / 1e6:.3g} M images  {config.trainer.precision}"),
        ("judged by", evaluation.described(config)),
    ]  # fmt: skip
    return "\n".join(f"{label:10} {text}" for label, text in rows)


def _average(name: str, averaging: Averaging, steps: int) -> str:
    share = initial_share(averaging, steps)
    return f"{name} (holds {100 * share:.0f} % of the initial weights at the end)" if share >= YOUNG else name


def _name(node: Any) -> str:
    return str(node._target_).rsplit(".", 1)[-1]
