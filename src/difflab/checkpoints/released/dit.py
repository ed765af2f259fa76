"""Files of DiT: dit:<DiT-XL-2-256x256.pt>, or dit:<folder> of diffusers' `transformer` (config.json and safetensors).

The models live in latents of Stable Diffusion's first stage (scale 0.18215), which are drawn and stored as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difflab.checkpoints import dit
from difflab.networks import Network
from difflab.spaces import Space, Undecoded

PROJECT = "DiT's"


def network(path: Path, flags: str | None) -> Network:
    return dit.load(path, flags)


def check(path: Path, flags: str | None) -> None:
    """Files of DiT tell all that is needed."""


def process(path: Path, flags: str | None, network: Network) -> Mapping[str, Any]:
    """That of DiT (section 3 and appendix A): linear schedule, 1000 steps, eps, learned range; 250 steps, nothing clipped."""
    variance = "LearnedRange" if network.out_channels == 2 * network.in_channels else "FixedLarge"
    return {
        "network": {"released": path.name},
        "schedule": {"_target_": "difflab.schedules.linear", "steps": 1000, "time_scale": 1.0},
        "parameterization": {"_target_": "difflab.parameterizations.Epsilon"},
        "variance": {"_target_": f"difflab.variances.{variance}"},
        "sampler": {
            "_target_": "difflab.samplers.DDPM",
            "variance": "${variance}",
            "grid": {"_target_": "difflab.samplers.grids.UniformGrid", "steps": 250},
        },
        "guidance": {},
        "conditioning": {},
    }


def space() -> Space:
    return Undecoded()
