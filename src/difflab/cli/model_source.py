"""A trained model by the name that a user gives it: a run, one of its checkpoints, or a released model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.cli.check import ConfigError
from difflab.denoiser import Denoiser
from difflab.ema import ONLINE


@dataclass(frozen=True)
class ModelSource:
    """A denoiser with its weights, and what else its origin says.

    config        the run's configuration; of a released model what its flags say of process and sampler
    num_classes   classes that the model is told; 0 for none
    condition_dropout   share of training examples whose condition was dropped
    """

    denoiser: Denoiser
    config: DictConfig
    num_classes: int
    condition_dropout: float


def load_model(name: str, track: str | None, flags: str | None) -> ModelSource:
    """The model that `checkpoint=<name>` means. A ConfigError says what is wrong with the name."""
    if name.startswith("openai:"):
        return _released(Path(name.removeprefix("openai:")), flags)
    path = Path(name)
    if path.is_dir():
        from difflab.runs import newest

        checkpoint = newest(path / "checkpoints")
        if checkpoint is None:
            raise ConfigError(f"checkpoint={name}: there is no whole checkpoint in {path / 'checkpoints'}")
        return _of_run(checkpoint, track)
    if not path.is_file():
        raise ConfigError(f"checkpoint={name}: there is no such file or directory")
    return _of_run(path, track)


def _of_run(checkpoint: Path, track: str | None) -> ModelSource:
    config_file = checkpoint.parent.parent / "config.yaml"
    if not config_file.exists():
        raise ConfigError(f"checkpoint={checkpoint}: expected the run's configuration at {config_file}")
    config = OmegaConf.load(config_file)
    assert isinstance(config, DictConfig)
    module = instantiate(config.module, _convert_="all")
    saved: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module.load_state_dict(saved["state_dict"])
    shadows = saved["callbacks"]["EMACallback"]["shadows"]
    chosen = track or next(iter(shadows), ONLINE)
    if chosen != ONLINE:
        if chosen not in shadows:
            raise ConfigError(f"track={chosen}: {checkpoint} has {', '.join([*shadows, ONLINE])}")
        with torch.no_grad():
            for key, p in module.denoiser.named_parameters():
                p.copy_(shadows[chosen][key])
    return ModelSource(module.denoiser, config, config.data.num_classes, config.condition_dropout)


def _released(path: Path, flags: str | None) -> ModelSource:
    from difflab.interop import openai
    from difflab.networks import UNet
    from difflab.networks.layers import LabelEmbedding

    if not path.is_file():
        raise ConfigError(f"checkpoint=openai:{path}: there is no such file")
    given = flags or openai.flags_for(path)
    network = openai.load(path, given).network
    if not isinstance(network, UNet):
        raise ConfigError(
            f"checkpoint=openai:{path}: a {type(network).__name__} does not draw images from noise alone; choose a diffusion model"
        )
    process = openai.diffusion(given)
    steps = process.diffusion_steps
    config = OmegaConf.create(
        {
            "schedule": {
                "_target_": f"difflab.schedules.{process.noise_schedule}",
                "steps": steps,
                "time_scale": 1000 / steps if process.rescale_timesteps else 1.0,
            },
            "parameterization": {
                "_target_": f"difflab.parameterizations.{'X0' if process.predict_xstart else 'Epsilon'}"
            },
            "variance": {"_target_": f"difflab.variances.{'LearnedRange' if process.learn_sigma else 'FixedLarge'}"},
            "sampler": {
                "_target_": "difflab.samplers.DDPM",
                "variance": "${variance}",
                "grid": {
                    "_target_": "difflab.samplers.grids.UniformGrid",
                    "steps": process.timestep_respacing or steps,
                },
            },
            "guidance": {"clip": {"_target_": "difflab.guidance.Clip"}},
        }
    )
    parts = {name: instantiate(config[name]) for name in ("schedule", "parameterization", "variance")}
    label = dict(network.embedders.items()).get("label")
    num_classes = label.num_classes if isinstance(label, LabelEmbedding) else 0
    return ModelSource(Denoiser(network, **parts), config, num_classes, condition_dropout=0.0)
