"""Sampling: a trained model -> images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from difflab.cli.entry import fail, help_text, run_hydra, wants_help

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = [
    ("python sample.py checkpoint=runs/cosine_adagn/<identity>", "64 images from a run's first EMA track"),
    (
        "python sample.py checkpoint=RUN track=online num_samples=1000 out=online",
        "a thousand from the weights themselves",
    ),
    (
        "python sample.py checkpoint=RUN ema=posthoc ema.std=0.05",
        "an average of another length, from the run's snapshots",
    ),
    ("python sample.py checkpoint=RUN sampler=ddim sampler.grid.steps=10 sampler.eta=1", "another sampler"),
    ("python sample.py checkpoint=RUN 'guidance=[classifier_free,clip]' guidance.classifier_free.scale=3", "guided"),
    (
        "python sample.py checkpoint=openai:64x64_diffusion.pt sampler=ddim sampler.grid.steps=ddim25",
        "a released model of ADM",
    ),
]

GROUPS = frozenset({"sampler", "sampler/grid", "guidance"})
VALUES = [
    "checkpoint    a run directory, a .ckpt or .safetensors file of a run, or openai:<path> of a released model",
    "flags         openai: the flags that the model was trained with, where the file's name does not tell them",
    "track         EMA track, or online; the run's first track if not given",
    "ema=posthoc ema.std=0.05   an average reconstructed from the run's snapshots",
    "num_samples   how many images; batch_size: how many at a time; first_seed: the seed of the first",
    "device        cpu, cuda, cuda:1 ...; a GPU where there is one if not given",
    "out           folder of images.npz (arr_0 uint8 NHWC, arr_1 labels) and grid.png; grid: images in the picture",
]


def main() -> None:
    """The command line of sample.py."""
    if wants_help(sys.argv[1:]):
        print(
            help_text(
                "sample.py", "draws images from a run or a released checkpoint", EXAMPLES, VALUES, GROUPS.__contains__
            )
        )
    else:
        run_hydra("sample", sample)


def sample(config: DictConfig) -> None:
    """Draws images and writes them to `out`."""
    from hydra.errors import InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    from difflab.cli.train import cause

    try:
        _sample(config)
    except (ValueError, OmegaConfBaseException) as error:
        fail(" ".join(str(error).split()))
    except InstantiationException as error:
        fail(cause(error))


def _sample(config: DictConfig) -> None:
    from pathlib import Path

    import numpy as np
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from rich.progress import track as progress
    from torchvision.utils import save_image

    from difflab.callbacks import GuidanceCallback
    from difflab.callbacks.evaluation import grid_columns, grid_of
    from difflab.cli.model_source import load_model
    from difflab.metrics import to_uint8
    from difflab.samplers import balanced_labels, draw

    posthoc_std = None if config.get("ema") is None else config.ema.std
    for name in ("num_samples", "batch_size", "grid"):
        if config[name] < 1:
            raise ValueError(f"{name}={config[name]} must be at least 1")
    source = load_model(str(config.checkpoint), config.track, config.flags, posthoc_std)
    # the parts that were chosen here replace the run's and may refer to the others, as sampler=ddpm does to the variance
    model = source.config
    for name in ("sampler", "guidance"):
        if config.get(name) is not None:
            OmegaConf.update(model, name, config._get_node(name), merge=False)
    sampler = instantiate(model.sampler, _convert_="all")
    guidance = GuidanceCallback(instantiate(model.guidance, _convert_="all"))
    guidance.check(source.condition_dropout)
    sampler.grid(source.denoiser.schedule)

    device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    denoiser = source.denoiser.to(device).eval()
    denoise = guidance.wrap_denoiser(denoiser)
    images, labels = [], []
    starts = range(0, config.num_samples, config.batch_size)
    for start in progress(starts, description=f"{config.num_samples} images", disable=not sys.stdout.isatty()):
        count = min(config.batch_size, config.num_samples - start)
        seeds = torch.arange(config.first_seed + start, config.first_seed + start + count, device=device)
        cond = balanced_labels(seeds, source.num_classes)
        images.append(to_uint8(draw(denoise, denoiser.schedule, sampler, denoiser.image_shape, seeds, cond)).cpu())
        if cond.label is not None:
            labels.append(cond.label.cpu())

    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    pixels = torch.cat(images)
    arrays = [pixels.permute(0, 2, 3, 1).numpy(), *([torch.cat(labels).numpy()] if labels else [])]
    np.savez(out / "images.npz", *arrays)
    shown = pixels[: config.grid]
    save_image(grid_of(shown, grid_columns(len(shown), source.num_classes)), out / "grid.png")
    print(f"images  {out / 'images.npz'}")
    print(f"grid    {out / 'grid.png'}")
