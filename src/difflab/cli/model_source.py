"""A trained model by the name that a user gives it: a run, one of its files, or a released model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.cli.check import ConfigError
from difflab.denoiser import Denoiser
from difflab.runs import newest, reconstruct
from difflab.runs.checkpoints import is_whole
from difflab.runs.export import model_weights, read_exported, weights_sha256


@dataclass(frozen=True)
class ModelSource:
    """A denoiser with its weights, and what else its origin says.

    config        the run's configuration; of a released model what its flags say of process and sampler
    num_classes   classes that the model is told; 0 for none
    condition_dropout   share of training examples whose condition was dropped
    track         which of a run's weights these are
    file          where they lie; a directory for those that were put together from several files
    step          after how many optimizer steps; None where nobody says
    """

    denoiser: Denoiser
    config: DictConfig
    num_classes: int
    condition_dropout: float
    track: str
    file: Path
    step: int | None

    @cached_property
    def weights_sha256(self) -> str:
        return weights_sha256(self.denoiser.state_dict())


def load_model(name: str, track: str | None, flags: str | None, posthoc_std: float | None) -> ModelSource:
    """The model that `checkpoint=<name>` means. A ConfigError says what is wrong with the name.

    track         which weights of a run; None for its first EMA track
    flags         of a released model
    posthoc_std   length of an average to reconstruct from a run's snapshots instead
    """
    if name.startswith("openai:"):
        if track is not None or posthoc_std is not None:
            raise ConfigError(f"checkpoint={name} is one set of weights: leave track and ema out")
        return _released(Path(name.removeprefix("openai:")), flags)
    path = Path(name)
    if posthoc_std is not None:
        if not (path / "config.yaml").is_file():
            raise ConfigError(f"checkpoint={name}: post-hoc EMA needs a run directory, with its snapshots{_near(path)}")
        if track is not None:
            raise ConfigError(f"track={track} and ema=posthoc are two averages: leave one of them out")
        weights, step = reconstruct(path / "snapshots", posthoc_std)
        text = (path / "config.yaml").read_text()
        return _of_run(text, weights, f"posthoc std {posthoc_std:g}", path / "snapshots", step)
    if path.is_dir():
        checkpoint = newest(path / "checkpoints")
        if checkpoint is None:
            if (path / "checkpoints").is_dir():
                raise ConfigError(f"checkpoint={name}: there is no whole checkpoint in {path / 'checkpoints'}")
            raise ConfigError(f"checkpoint={name} is not a run's directory{_near(path)}")
        path = checkpoint
    if not path.is_file():
        raise ConfigError(f"checkpoint={name}: there is no such file or directory")
    if path.suffix == ".pt":
        raise ConfigError(f"checkpoint={name}: a released model is named by checkpoint=openai:{name}")
    if path.suffix not in (".ckpt", ".safetensors"):
        raise ConfigError(
            f"checkpoint={name}: expected a run's directory, or a .ckpt or .safetensors file of one{_near(path)}"
        )
    return _exported(path, track) if path.suffix == ".safetensors" else _saved(path, track)


def _near(path: Path) -> str:
    """The run that was perhaps meant: the one to which the path belongs, or one right below it."""
    above = [parent for parent in list(path.parents)[:3] if _is_run(parent)]
    below = sorted(file.parent for pattern in ("*", "*/*") for file in path.glob(f"{pattern}/config.yaml"))
    runs = above or [run for run in below if _is_run(run)]
    return f"; give checkpoint={runs[0]}" if runs else ""


def _is_run(path: Path) -> bool:
    return (path / "config.yaml").is_file() and (path / "checkpoints").is_dir()


def _saved(checkpoint: Path, track: str | None) -> ModelSource:
    """From a run's checkpoint file, whose configuration is in the run directory."""
    config = checkpoint.parent.parent / "config.yaml"
    if not config.exists():
        raise ConfigError(f"checkpoint={checkpoint}: expected the run's configuration at {config}")
    if not is_whole(checkpoint):
        raise ConfigError(f"checkpoint={checkpoint} is damaged: name the run's directory to use the newest whole one")
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = model_weights(saved)
    chosen = track or next(iter(weights))
    if chosen not in weights:
        raise ConfigError(f"track={chosen}: {checkpoint} has {', '.join(weights)}")
    return _of_run(config.read_text(), weights[chosen], chosen, checkpoint, saved["global_step"])


def _exported(path: Path, track: str | None) -> ModelSource:
    """From an exported file, whose configuration is in its header."""
    weights, header = read_exported(path)
    if "config" not in header:
        raise ConfigError(f"checkpoint={path}: this file was not exported by difflab, its header has no configuration")
    if track not in (None, header["track"]):
        raise ConfigError(f"track={track}: {path} holds the track {header['track']} alone")
    return _of_run(header["config"], weights, header["track"], path, int(header["step"]))


def _of_run(text: str, weights: dict[str, torch.Tensor], track: str, file: Path, step: int) -> ModelSource:
    config = OmegaConf.create(text)
    assert isinstance(config, DictConfig)
    module = instantiate(config.module, _convert_="all")
    module.denoiser.load_state_dict(weights)
    dropout = config.condition_dropout
    return ModelSource(module.denoiser, config, config.data.num_classes, dropout, track, file, step)


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
            "network": {"flags": given},
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
    denoiser = Denoiser(network, **parts)
    return ModelSource(denoiser, config, num_classes, condition_dropout=0.0, track="released", file=path, step=None)
