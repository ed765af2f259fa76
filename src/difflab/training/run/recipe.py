"""What a training is, in a few lines, before its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from difflab.ema import YOUNG, Averaging, initial_share
from difflab.formatting import number

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from difflab.evaluation.in_training import Evaluation


def place(config: DictConfig, trainer: Any, run: Any, name: str) -> str:
    """Which run it is, where its files go and on what it is computed: the first that there is to say."""
    rows = [
        ("run", f"{config.run.name}, seed {config.seed}, run id {name}"),
        ("output", str(run.path)),
        ("device", f"{_devices(trainer)}, precision {config.trainer.precision}"),
    ]
    return _lines(rows)


def recipe(config: DictConfig, module: Any, data: Any, evaluation: Evaluation) -> str:
    """What is trained on what, how, and how it is evaluated."""
    steps, batch, images = config.trainer.max_steps, config.data.batch_size, len(data.dataset)
    parameters = sum(p.numel() for p in module.parameters())
    averages = (
        ", ".join(_average(name, average, steps) for name, average in module.ema.tracks.averagings.items()) or "none"
    )
    size = config.data.image_size
    augmented = "".join(f", {one.described}" for one in data.stream.augmentations)
    parts = [f"{part} {_name(config[part])}" for part in ("schedule", "parameterization", "variance") if part in config]
    rows = [
        ("data", f"{_name(config.data.dataset)}: {images:,} images, {size}x{size}, {config.data.channels} "
                 f"channel{'s' if config.data.channels > 1 else ''}, {config.data.num_classes or 'no'} classes{augmented}"),
        ("model", ", ".join([f"{_name(config.network)}, {number(parameters / 1e6)} M parameters", *parts])),
        ("training", f"{steps:,} steps of {batch:,} images = {number(steps * batch / images)} epochs"),
        ("", f"objective {_name(config.objective)}, {_name(config.optimizer)}, learning rate {config.optimizer.lr:g}, EMA {averages}"),
        ("evaluation", evaluation.described(config)),
    ]  # fmt: skip
    if config.get("debug"):
        rows.append(("debug", f"{config.debug}: a trial, kept apart from results in {config.run.root}"))
    return _lines(rows)


def _lines(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{label:10} {text}" for label, text in rows)


def _devices(trainer: Any) -> str:
    """The devices, of all processes."""
    import torch

    count, device = trainer.world_size, trainer.strategy.root_device
    if device.type == "cuda":
        return f"{count} x {torch.cuda.get_device_name(device)}" if count > 1 else torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{device.type}, {count} process{'es' if count > 1 else ''}"
    threads = torch.get_num_threads()
    each = " each" if count > 1 else ""
    return f"CPU, {count} process{'es' if count > 1 else ''} with {threads} thread{'s' if threads > 1 else ''}{each}"


def _average(name: str, averaging: Averaging, steps: int) -> str:
    share = initial_share(averaging, steps)
    return f"{name} (holds {100 * share:.0f} % of the initial weights at the end)" if share >= YOUNG else name


def _name(node: Any) -> str:
    return str(node._target_).rsplit(".", 1)[-1]
