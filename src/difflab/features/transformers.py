"""Features of vision transformers: DINOv2 and CLIP. Neither has logits, hence no score.

DINOv2, for FD-DINOv2 (Stein et al. 2023, "Exposing flaws of generative model evaluation metrics"): features that were learned without
labels follow people's judgement of diffusion models more closely than Inception's. The paper uses ViT-L/14 at 224 pixels; numbers are
called fd_dinov2_vitl14 and so on. Preprocessing is that of the authors' code: Pillow's bicubic resize to 224 x 224 and ImageNet's mean and
standard deviation. The network (Oquab et al. 2024; without registers) has the names of Meta's files: [B, 3, H, W] -> [B, D].

    x = [cls; patches] + positions      patches of 14 x 14 pixels, positions of 37 x 37 patches resized to those of the image
    x = x + ls1 Attention(norm1(x))     ls1, ls2: a learned factor per channel ("layer scale")
    x = x + ls2 MLP(norm2(x))
    norm(x)[cls]

CLIP's image embeddings, for CMMD (Jayasumana et al. 2024, "Rethinking FID") and for Frechet distances in CLIP's space. CMMD uses ViT-L/14
at 336 pixels, Kynkaanniemi et al. 2023 ("The role of ImageNet classes in FID") ViT-B/32 at 224; numbers are called cmmd,
fd_clip_vitl14_336, fd_clip_vitb32. The network is torch-fidelity's, the preprocessing that of CMMD's authors: bicubic resize (a = -1/2,
antialiased, in floating point, as jax.image.resize) and OpenAI's mean and standard deviation. Embeddings are those after the projection, of
any length: CMMD scales them to length 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from difflab.features.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.features.pretrained import KNOWN, require
from difflab.reading.arrays import read_tensors

PATCH = 14
TRAINED_GRID = 37  # 518 pixels
EPS = 1e-6


class DinoV2Network(nn.Module):
    """width D, depth blocks, heads of attention."""

    def __init__(self, width: int, depth: int, heads: int):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TRAINED_GRID**2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, stride=PATCH)})
        self.blocks = nn.ModuleList([_Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        patches = self.patch_embed["proj"](x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self._positions(patches.shape[2], patches.shape[3])
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])

    def _positions(self, rows: int, columns: int) -> Float[Tensor, "1 n d"]:
        if (rows, columns) == (TRAINED_GRID, TRAINED_GRID):
            return self.pos_embed
        cls, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = grid.unflatten(1, (TRAINED_GRID, TRAINED_GRID)).permute(0, 3, 1, 2)
        # the 0.1 is Meta's guard against rounding; it shifts the sampling points a little, and the published numbers with them
        scale = ((rows + 0.1) / TRAINED_GRID, (columns + 0.1) / TRAINED_GRID)
        grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
        return torch.cat([cls, grid.flatten(2).transpose(1, 2)], dim=1)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = _Attention(width, heads)
        self.ls1 = _LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = _Mlp(width)
        self.ls2 = _LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        q, k, v = self.qkv(x).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        return self.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


class _LayerScale(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def pillow_bicubic(images: UInt8[Tensor, "b c h w"], height: int, width: int) -> Float32[Tensor, "b c height width"]:
    """Pillow's bicubic resize of 8-bit images, on any device and for whole batches.

    Pillow resizes rows, rounds to bytes, then resizes columns and rounds again, halves up; its cubic has a = -1/2 and is widened when an
    image shrinks (antialiasing). The same two passes here give Pillow's bytes but for rare sums near a half, which move a pixel by a level.

    Returns:
        Whole numbers 0 .. 255.
    """
    x = images.to(torch.float32)
    for size in ((images.shape[2], width), (height, width)):
        x = (
            F.interpolate(x, size=size, mode="bicubic", align_corners=False, antialias=True)
            .add(0.5)
            .floor()
            .clamp(0, 255)
        )
    return x


SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in [0, 1]


class Shape(NamedTuple):
    """Of a vision transformer."""

    width: int
    depth: int
    heads: int


SHAPES = {"vits14": Shape(384, 12, 6), "vitb14": Shape(768, 12, 12), "vitl14": Shape(1024, 24, 16)}


def _loaded(
    family: str,
    name: str,
    model: str,
    models: Collection[str],
    weights: str | Path | None,
    build: Callable[[dict[str, Tensor]], nn.Module],
) -> tuple[nn.Module, str]:
    """The network of a model, built from the file of its weights, and what protocols say of the file.

    Args:
        family: Of the model, in words.
        name: Of the file among the known ones.
        model: Which of the family it is.
        models: That there are.
        weights: Path of the file; None looks for it.
        build: From its tensors to the network.

    Raises:
        ValueError: There is no such model, or the file does not hold its weights.
        FileNotFoundError: There is no such file.
    """
    if model not in models:
        raise ValueError(f"model={model}: {family} comes as {', '.join(models)}")
    found = require([KNOWN[name]], weights)
    state = read_tensors(found.path)
    try:
        return build(state), found.described
    except (RuntimeError, KeyError, AttributeError, ValueError) as error:
        file, said = KNOWN[name].file_name, " ".join(str(error).split())[:200]
        raise ValueError(f"{found.path} does not hold the weights of {family} {model} ({file}): {said}") from error


class DinoV2Extractor(FeatureExtractor):
    """The class token after the last norm; images of any size, grey ones are repeated to RGB.

    Args:
        model: vits14, vitb14, vitl14 (the paper's).
        weights: Path of Meta's file for this model; None looks into $DIFFLAB_DINOV2, the cache and torch.hub's folder.
    """

    def __init__(self, model: str = "vitl14", weights: str | Path | None = None):
        def build(state: dict[str, Tensor]) -> nn.Module:
            state.pop("mask_token", None)  # for training
            with torch.device("meta"):  # not to draw weights that are replaced
                network = DinoV2Network(*SHAPES[model])
            network.load_state_dict(state, assign=True)
            return network

        network, described = _loaded("DINOv2", f"dinov2_{model}", model, SHAPES, weights, build)
        identity = Identity(
            name=f"dinov2_{model}",
            dimension=SHAPES[model].width,
            preprocessing=f"Pillow's bicubic resize to {SIZE}, ImageNet mean and std",
            weights=described,
        )
        super().__init__(identity, network)

    def _extract(self, images: Tensor) -> Features:
        x = pillow_bicubic(as_rgb(images), SIZE, SIZE) / 255
        mean, std = (x.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        return Features(self._network((x - mean) / std))


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of RGB in [0, 1], as OpenAI publishes them
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
SIZES = {"vitb32": 224, "vitl14_336": 336}


class ClipExtractor(FeatureExtractor):
    """Images of any size, grey ones are repeated to RGB.

    Args:
        model: vitl14_336 (CMMD's), vitb32.
        weights: Path of OpenAI's file for this model; None looks into $DIFFLAB_CLIP, the cache and torch.hub's folder.
    """

    def __init__(self, model: str = "vitl14_336", weights: str | Path | None = None):
        def build(state: dict[str, Tensor]) -> nn.Module:
            # imported here: it takes seconds, and most runs measure with another extractor
            from torch_fidelity.feature_extractor_clip import build_model

            network = build_model(state, torch.float32).visual
            if network.input_resolution != SIZES[model]:
                raise ValueError(f"it is for {network.input_resolution} pixels, {model} has {SIZES[model]}")
            return network

        network, described = _loaded("OpenAI's CLIP", f"clip_{model}", model, SIZES, weights, build)
        self._size = SIZES[model]
        identity = Identity(
            name=f"clip_{model}",
            dimension=network.output_dim,  # type: ignore[arg-type]
            preprocessing=f"antialiased bicubic resize to {self._size}, OpenAI's mean and std",
            weights=described,
        )
        super().__init__(identity, network)

    def _extract(self, images: Tensor) -> Features:
        x = as_rgb(images).to(torch.float32) / 255
        x = F.interpolate(x, size=(self._size, self._size), mode="bicubic", align_corners=False, antialias=True)
        mean, std = (x.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
        return Features(self._network((x - mean) / std))
