"""diffusers' UNet2DModel and the step of its training scripts (examples/unconditional_image_generation, docs)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor

from benchmarks.peers.architecture import Architecture
from benchmarks.peers.bare_loop import Peer
from benchmarks.peers.work import Work

STEPS, LEARNING_RATE = 1000, 1e-4


class DiffusersTraining(Peer):
    """UNet2DModel with scale and shift, DDPMScheduler.add_noise, mean squared error, AdamW, EMAModel with its warm-up.

    With `resample` conv it has the layers of ADM's UNet one for one. Of BigGAN's blocks it has those of levels with attention only.

    autocast   to this type; None: float32
    """

    def __init__(self, architecture: Architecture, device: torch.device, autocast: torch.dtype | None = None):
        a = architecture
        attended = [size in a.attention_resolutions for size in a.resolutions]
        resample = {"conv": "conv", "biggan": "resnet"}[a.resample]
        self.network = UNet2DModel(
            sample_size=a.image_size,
            block_out_channels=tuple(a.channels),
            layers_per_block=a.depth,
            down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attended),
            up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attended)),
            attention_head_dim=a.head_channels,
            resnet_time_scale_shift="scale_shift",
            attn_norm_num_groups=32,  # else the attention in the middle has no norm
            downsample_type=resample,
            upsample_type=resample,
            num_class_embeds=a.num_classes or None,
            dropout=a.dropout,
        )
        self.network.to(device)  # pyright: ignore[reportArgumentType, reportCallIssue]
        self.network.train()
        if a.recompute:
            self.network.enable_gradient_checkpointing()
        self._device, self._autocast = device, autocast
        self._scheduler = DDPMScheduler(num_train_timesteps=STEPS, beta_schedule="linear")
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
        self._average = EMAModel(
            self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
        )

    def loss(self, x_0: Tensor, label: Tensor | None) -> Tensor:
        noise = torch.randn_like(x_0)
        timesteps = torch.randint(0, STEPS, (len(x_0),), device=self._device).long()
        noisy = self._scheduler.add_noise(x_0, noise, timesteps)  # pyright: ignore[reportArgumentType]
        with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
            predicted = self.network(noisy, timesteps, class_labels=label).sample
        return F.mse_loss(predicted.float(), noise.float())

    def work(self, x_0: Tensor, label: Tensor | None) -> Work:
        return Work.counted(self.network, lambda: self.loss(x_0, label))

    def step(self, x_0: Tensor, label: Tensor | None) -> None:
        self.loss(x_0, label).backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average.step(self.network.parameters())
