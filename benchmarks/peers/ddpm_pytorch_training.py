"""denoising-diffusion-pytorch's Unet, GaussianDiffusion and the step of its Trainer."""

from __future__ import annotations

import contextlib
import sys

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # pyright: ignore[reportMissingImports]
from ema_pytorch import EMA  # pyright: ignore[reportMissingImports]
from torch import Tensor

from benchmarks.peers.architecture import Architecture
from benchmarks.peers.bare_loop import Peer
from benchmarks.peers.work import Work

LEARNING_RATE = 1e-4


class DDPMPytorchTraining(Peer):
    """The training of denoising-diffusion-pytorch, with width, multipliers and attention as asked.

    The rest of the network is its own: root-mean-square norms, linear attention at the levels that have no other, a convolution of 7x7 at
    the input. Adam and an average every ten steps, as its Trainer has them. It knows no classes.

    Args:
        architecture: Width, multipliers and attention.
        device: Where it trains.
        autocast: To this type; None: float32.
    """

    def __init__(self, architecture: Architecture, device: torch.device, autocast: torch.dtype | None = None):
        with contextlib.redirect_stdout(sys.stderr):  # it says what GPU it sees
            self._diffusion = _diffusion(architecture, fused=True).to(device)
        self.network = self._diffusion.model
        self._architecture, self._device, self._autocast = architecture, device, autocast
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
        self._average = EMA(self._diffusion, beta=0.995, update_every=10)

    def loss(self, x_0: Tensor, label: Tensor | None) -> Tensor:
        with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
            return self._diffusion((x_0 + 1) / 2)  # it takes images in [0, 1]

    def work(self, x_0: Tensor, label: Tensor | None) -> Work:
        # its fused attention chooses kernels itself, among which torch's counter does not know that of a CPU
        twin = _diffusion(self._architecture, fused=False).to(self._device)
        return Work.counted(twin.model, lambda: twin((x_0 + 1) / 2))

    def step(self, x_0: Tensor, label: Tensor | None) -> None:
        self.loss(x_0, label).backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average.update()


def _diffusion(a: Architecture, fused: bool) -> GaussianDiffusion:
    network = Unet(
        dim=a.width,
        dim_mults=a.channel_mult,
        full_attn=tuple(size in a.attention_resolutions for size in a.resolutions),
        attn_dim_head=a.head_channels,
        dropout=a.dropout,
        flash_attn=fused,  # as its README has it
    )
    return GaussianDiffusion(
        network, image_size=a.image_size, timesteps=1000, objective="pred_noise", beta_schedule="linear"
    )
