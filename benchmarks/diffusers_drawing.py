"""Drawing with diffusers: its pipelines, and where it has none for a UNet2DModel the loops that its documentation writes.

Each is (a UNet2DModel, batch, steps, scale) -> function without arguments that draws [B, C, H, W] in [0, 1]. Progress bars are off and
images stay tensors, so that nothing is counted that difflab does not do. The times are those of difflab's grid "ddim<steps>".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.pipelines.ddim.pipeline_ddim import DDIMPipeline
from diffusers.pipelines.ddpm.pipeline_ddpm import DDPMPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

Draw = Callable[[], Tensor]


def ddpm(unet: Any, batch: int, steps: int, scale: float) -> Draw:
    pipeline: Any = DDPMPipeline(unet, DDPMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return lambda: pipeline(batch_size=batch, num_inference_steps=steps, output_type="pt").images


def ddim(unet: Any, batch: int, steps: int, scale: float) -> Draw:
    """eps is derived anew from the clipped image, as ADM and difflab do."""
    pipeline: Any = DDIMPipeline(unet, DDIMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return lambda: (
        pipeline(batch_size=batch, num_inference_steps=steps, use_clipped_model_output=True, output_type="pt").images
    )


def heun(unet: Any, batch: int, steps: int, scale: float) -> Draw:
    """2 steps - 1 calls of the network, along the noise levels."""
    scheduler: Any = HeunDiscreteScheduler(beta_start=1e-4, beta_end=0.02, timestep_spacing="leading")

    @torch.no_grad()
    def drawn() -> Tensor:
        scheduler.set_timesteps(steps)
        x = _noise(unet, batch) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            output = unet(scheduler.scale_model_input(x, t), t).sample
            x = scheduler.step(output, t, x).prev_sample
        return _pixels(x)

    return drawn


def guided(unet: Any, batch: int, steps: int, scale: float) -> Draw:
    """Classifier-free guidance of DDIM, both predictions from one batch as in their pipelines that guide."""
    scheduler: Any = DDIMScheduler()
    null = unet.config["num_class_embeds"] - 1

    @torch.no_grad()
    def drawn() -> Tensor:
        scheduler.set_timesteps(steps)
        x = _noise(unet, batch)
        classes = torch.arange(batch, device=x.device) % null
        labels = torch.cat([torch.full_like(classes, null), classes])
        for t in scheduler.timesteps:
            output = unet(torch.cat([x] * 2), t, class_labels=labels).sample
            unconditional, conditional = output.chunk(2)
            output = unconditional + scale * (conditional - unconditional)
            x = scheduler.step(output, t, x, use_clipped_model_output=True).prev_sample
        return _pixels(x)

    return drawn


DRAWINGS = {"DDPM": ddpm, "DDIM": ddim, "Heun": heun, "DDIM, classifier-free guidance": guided}
"""Name of what is drawn with -> how diffusers does it."""


def _noise(unet: Any, batch: int) -> Tensor:
    config = unet.config
    shape = (batch, config["in_channels"], config["sample_size"], config["sample_size"])
    return randn_tensor(shape, device=unet.device, dtype=unet.dtype)


def _pixels(x: Tensor) -> Tensor:
    return (x / 2 + 0.5).clamp(0, 1)
