"""The commands of difflab run inside the test's own process, on a model that trains in a second."""

import contextlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from difflab.cli.sample import sample
from difflab.cli.train import train
from difflab.config import derived as resolvers
from difflab.config.options import gathered
from difflab.config.paths import config_directory
from difflab.config.words import readable
from difflab.runs import RunDirectory, newest
from difflab.training import TrainedModule

SMALL = (
    "+experiment=cosine_adagn",
    "network.width=16",
    "schedule.steps=20",
    "sampler.grid.steps=4",
    "data.batch_size=32",
    "trainer.accelerator=cpu",
    "trainer.max_steps=12",
    "trainer.log_every_n_steps=2",
    "eval.every=6",
    "eval.num_samples=40",
    "eval.batch_size=16",
    "eval.grid=20",
    "checkpoint.every=3",
    "logger=none",
)
"""Four checkpoints, two evaluations, a line of the log for every two steps."""

SHORT = (
    "trainer.max_steps=4",
    "eval.every=4",
    "checkpoint.every=2",
    "eval.num_samples=16",
    "eval.grid=10",
    "data.batch_size=16",
)
"""A run of four steps that is evaluated once."""


class PowerCut(Exception):
    """What ends a run in the middle of a step."""


@dataclass(frozen=True)
class Outcome:
    """A run's directory and what it printed."""

    run: RunDirectory
    printed: list[str]


def composed(name: str, *overrides: str) -> DictConfig:
    """conf/<name>.yaml as the command line composes it."""
    resolvers.add_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        config = compose(name, overrides=readable(gathered(overrides)), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return config


def train_small(root: Path, *overrides: str) -> Outcome:
    """`python train.py` with the small run's overrides and these."""
    config = composed("train", *SMALL, f"run.root={root}", *overrides)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        train(config)
    printed = out.getvalue().splitlines()
    return Outcome(RunDirectory(printed[-1]), printed)


def train_until(step: int, monkeypatch, root: Path, *overrides: str) -> RunDirectory:
    """The same, with a power cut after so many optimizer steps."""
    whole_step = TrainedModule.training_step

    def cut_short(self, batch, batch_idx):
        if self.trainer.global_step == step:
            raise PowerCut
        return whole_step(self, batch, batch_idx)

    with monkeypatch.context() as patch, contextlib.suppress(PowerCut):
        patch.setattr(TrainedModule, "training_step", cut_short)
        train_small(root, *overrides)
        raise AssertionError(f"the run ended before step {step}")
    (config,) = root.glob("*/*/config.yaml")
    return RunDirectory(config.parent)


def sample_from(checkpoint: object, out: Path, *overrides: str) -> list[str]:
    """`python sample.py checkpoint=... out=...`; what it printed."""
    config = composed("sample", f"checkpoint={checkpoint}", f"out={out}", "accelerator=cpu", *overrides)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        sample(config)
    return printed.getvalue().splitlines()


def rewound(source: Path, target: Path, step: int) -> None:
    """A copy of a run as it was after a checkpoint."""
    shutil.copytree(source, target)
    (run,) = target.glob("*/*")
    (run / "complete.json").unlink()
    for path in run.glob("checkpoints/step-*.ckpt"):
        if int(path.stem.split("-")[1]) > step:
            path.unlink()


def saved_state(run: RunDirectory) -> dict:
    """The newest checkpoint's content."""
    path = newest(run.checkpoints)
    assert path is not None
    return torch.load(path, weights_only=True)


def differences(a: object, b: object, path: str = "") -> list[str]:
    """Where two nested states differ, tensors bit for bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [path]
    if isinstance(a, dict) and isinstance(b, dict):
        unshared = [f"{path}/{key}" for key in a.keys() ^ b.keys()]
        return unshared + [d for key in a.keys() & b.keys() for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}/{i}")]
    return [] if a == b else [path]
