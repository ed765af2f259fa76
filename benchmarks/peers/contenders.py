"""Contenders by the name of their project."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.peers.architecture import Architecture
from benchmarks.peers.bare_loop import BareLoop, Peer
from benchmarks.peers.images import Images
from benchmarks.peers.training import Training

DIFFLAB, DIFFUSERS, PLAIN, DDPM_PYTORCH = "difflab", "diffusers", "plain", "denoising-diffusion-pytorch"
MODULES = {DIFFUSERS: "diffusers", DDPM_PYTORCH: "denoising_diffusion_pytorch"}


@dataclass(frozen=True)
class Contender:
    """How a project trains.

    Attributes:
        project: Whose training it is.
        autocast: Type of what autocast computes; None: all is float32.
        overrides: Of difflab's configuration, which has a setting for its precision.
    """

    project: str
    autocast: torch.dtype | None = None
    overrides: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Says so if it is not."""
        there = self.project not in MODULES or importlib.util.find_spec(MODULES[self.project]) is not None
        if not there:
            print(f"{self.project} is not installed and left out: make bench installs it", file=sys.stderr)
        return there

    def training(self, architecture: Architecture, batch: int, device: torch.device, scratch: Path) -> Training:
        """Set up on the device. Modules of projects are imported here, since not all are installed."""
        images = Images.of(architecture)
        torch.manual_seed(0)
        if self.project == DIFFLAB:
            from benchmarks.peers.difflab_training import DifflabTraining

            return DifflabTraining(architecture, images, batch, device, scratch, self.overrides)
        return BareLoop(self._peer(architecture, batch, device), images, batch, device)

    def _peer(self, architecture: Architecture, batch: int, device: torch.device) -> Peer:
        if self.project == DIFFUSERS:
            from benchmarks.peers.diffusers_training import DiffusersTraining

            return DiffusersTraining(architecture, device, self.autocast)
        if self.project == PLAIN:
            from benchmarks.peers.plain_training import PlainTraining

            return PlainTraining(architecture, device, batch, self.autocast)
        from benchmarks.peers.ddpm_pytorch_training import DDPMPytorchTraining

        return DDPMPytorchTraining(architecture, device, self.autocast)
