"""Files of OpenAI's guided-diffusion and improved-diffusion: openai:<file.pt>, flags by the file's name or as given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difflab.checkpoints import openai
from difflab.networks import Network, SuperRes, UNet
from difflab.spaces import Pixels, Space

PROJECT = "OpenAI's"


def network(path: Path, flags: str | None) -> Network:
    return openai.load(path, _flags(path, flags)).network


def check(path: Path, flags: str | None) -> None:
    openai.diffusion(_flags(path, flags))


def process(path: Path, flags: str | None, network: Network) -> Mapping[str, Any]:
    given = _flags(path, flags)
    unet = network.unet if isinstance(network, SuperRes) else network
    if not isinstance(unet, UNet):
        raise ValueError(f"a {type(network).__name__} does not draw images from noise alone; choose a diffusion model")
    said = openai.diffusion(given)
    steps = said.diffusion_steps
    fixed = "FixedSmall" if said.sigma_small else "FixedLarge"
    variance = "LearnedRange" if said.learn_sigma else fixed
    return {
        "network": {"flags": given},
        "schedule": {
            "_target_": f"difflab.schedules.{said.noise_schedule}",
            "steps": steps,
            "time_scale": 1000 / steps if said.rescale_timesteps else 1.0,
        },
        "parameterization": {"_target_": f"difflab.parameterizations.{'X0' if said.predict_xstart else 'Epsilon'}"},
        "variance": {"_target_": f"difflab.variances.{variance}"},
        "sampler": {
            "_target_": "difflab.samplers.DDPM",
            "variance": "${variance}",
            "grid": {
                "_target_": "difflab.samplers.grids.UniformGrid",
                "steps": said.timestep_respacing or steps,
            },
        },
        "guidance": {"clip": {"_target_": "difflab.guidance.Clip"}},
        "conditioning": _small_image(network, given),
    }


def space() -> Space:
    return Pixels()


def _flags(path: Path, flags: str | None) -> str:
    return openai.completed(flags, path) if flags else openai.flags_for(path)


def _small_image(network: Network, flags: str) -> dict[str, Any]:
    """What a released upsampler was told: OpenAI's small images are means over pixels."""
    if not network.condition_channels:
        return {}
    target = "difflab.conditioning"
    return {
        "low_resolution": {
            "_target_": f"{target}.LowResolution",
            "size": openai.small_size(flags),
            "shrink": {"_target_": f"{target}.shrinks.Area"},
            "augmentation": {"_target_": f"{target}.augmentations.Unchanged"},
            "channels": network.condition_channels,
        }
    }
