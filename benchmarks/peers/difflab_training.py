"""difflab's training as `python train.py` does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.architecture import Architecture
from benchmarks.peers.images import Images
from benchmarks.peers.training import Training
from benchmarks.peers.turnstile import Turnstile
from benchmarks.peers.work import Work
from difflab.config import derived as resolvers
from difflab.config.keys import composed
from difflab.config.training import TrainingOptions, checked_training
from difflab.data import ArrayImages, ImageData
from difflab.networks import initialise
from difflab.runs import RunDirectory, RunLock
from difflab.runtime import Interruption
from difflab.runtime.console import quiet_lightning
from difflab.training.run.trainer import build_trainer
from difflab.types import Condition, Label

ENDLESS = 10**9
"""Steps to an end, an evaluation or a checkpoint: what these cost is measured elsewhere, and nobody else here has them."""


class DifflabTraining(Training):
    """The thing that users run, not a loop made for the occasion.

    The configuration is composed as the command does it, and the Trainer is the command's, with all its watchers and its log. Peers run in
    a bare loop, which favours them.

    Args:
        architecture: Trained.
        images: Trained on.
        batch: Images per step.
        device: Where.
        scratch: Folder of the run.
        overrides: Further ones, as trainer.precision=bf16-mixed.
    """

    def __init__(
        self,
        architecture: Architecture,
        images: Images,
        batch: int,
        device: torch.device,
        scratch: Path,
        overrides: Sequence[str] = (),
    ):
        quiet_lightning()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # see `Turnstile.start`
        options = composition(architecture, batch, device, overrides)
        self.work = self.work_of(options)
        torch.manual_seed(0)
        self.module: Any = options.build("module")
        initialise(self.module.model, options.seed)
        classes = [str(label) for label in range(architecture.num_classes)]
        dataset = ArrayImages(images.pixels, images.labels, classes)
        data = ImageData(dataset, batch, architecture.image_size, 3, architecture.num_classes)
        run = RunDirectory(scratch / "run")
        run.path.mkdir(parents=True, exist_ok=True)
        evaluation: Any = options.build("evaluation")
        evaluation.extractor.check = lambda shape: None  # nothing is evaluated, so the features need not fit
        interruption = Interruption("", 0.0, 30)
        trainer: Any = build_trainer(options, run, RunLock(run.path), self.module, data, evaluation, interruption)
        trainer.progress_bar_callback.disable()
        self._turnstile = Turnstile()
        trainer.callbacks.insert(0, self._turnstile)
        module = self.module
        self._turnstile.start(lambda: trainer.fit(module, datamodule=data), threads)

    @staticmethod
    def work_of(options: TrainingOptions) -> Work:
        """Counted without computing, on the network as it is before anything compiles it."""
        with torch.device("meta"):
            network = options.build("network")
            x = torch.zeros(1, network.in_channels, network.image_size, network.image_size)
            label = torch.zeros(1, dtype=torch.long) if options.config["data"]["num_classes"] else None
            return Work.counted(network, lambda: network(x, torch.zeros(1), Condition(label=Label(label))).sum())

    def run(self, steps: int) -> float:
        return self._turnstile.let_through(steps)

    def close(self) -> None:
        self._turnstile.stop()
        del self._turnstile, self.module


def composition(a: Architecture, batch: int, device: torch.device, overrides: Sequence[str] = ()) -> TrainingOptions:
    """What the command makes of its words."""
    resolvers.add_resolvers()
    return checked_training(composed("train", [*_overrides(a), *_settings(batch, device), *overrides]))


def _overrides(a: Architecture) -> list[str]:
    """The network and what it is asked, in difflab's words."""
    return [
        "schedule=linear",
        "variance=fixed_small",
        "objective=simple",
        f"embedder={'[label_strict]' if a.num_classes else 'none'}",
        f"network/resample={a.resample}",
        "network/attention=head_channels",
        f"network.attention.heads.channels={a.head_channels}",
        f"network.width={a.width}",
        f"network.channel_mult={list(a.channel_mult)}",
        f"network.depth={a.depth}",
        f"network.attention_resolutions={list(a.attention_resolutions)}",
        f"network.dropout={a.dropout}",
        f"network.gradient_checkpointing={str(a.recompute).lower()}",
        f"data.image_size={a.image_size}",
        "data.channels=3",
        f"data.num_classes={a.num_classes}",
    ]


def _settings(batch: int, device: torch.device) -> list[str]:
    return [
        f"trainer.accelerator={'gpu' if device.type == 'cuda' else device.type}",
        f"data.batch_size={batch}",
        f"trainer.max_steps={ENDLESS}",
        f"eval.every={ENDLESS}",
        f"checkpoint.every={ENDLESS}",
        "logger=none",  # the run directory's log remains
    ]
