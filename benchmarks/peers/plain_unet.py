"""ADM's UNet written the plain way, as a measure of what the same mathematics costs when nothing is done for speed.

After the paper (arXiv 2105.05233, section 3; arXiv 2006.11239, appendix B): images in torch's usual layout, group normalisation in float32
and cast back, scale and shift as separate passes, attention as two einsums and a softmax with the scale split over q and k (so that half
precision does not overflow), an activation of the embedding in every block.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.architecture import Architecture

Resize = Callable[[Tensor], Tensor]


class PlainUNet(nn.Module):
    """(x_t [B,3,H,W], step [B], label [B] or None) -> noise [B,3,H,W]."""

    def __init__(self, a: Architecture):
        super().__init__()
        emb = 4 * a.width
        down, up = {"conv": (_ConvDown, _ConvUp), "biggan": (_BlockDown, _BlockUp)}[a.resample]

        def block(given: int, wanted: int, size: int) -> list[nn.Module]:
            found: list[nn.Module] = [_Residual(given, wanted, emb, a.dropout)]
            return [*found, _Attention(wanted, a.head_channels)] if size in a.attention_resolutions else found

        self.width = a.width
        self.time = nn.Sequential(nn.Linear(a.width, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.label = nn.Embedding(a.num_classes, emb) if a.num_classes else None
        ch = a.channels[0]
        self.first = nn.Conv2d(3, ch, 3, padding=1)
        kept, self.down = [ch], nn.ModuleList()
        levels = list(zip(a.resolutions, a.channels, strict=True))
        for level, (size, wanted) in enumerate(levels):
            for _ in range(a.depth):
                self.down.append(_Chain(block(ch, wanted, size)))
                ch = wanted
                kept.append(ch)
            if level + 1 < len(levels):
                self.down.append(_Chain([down(ch, emb, a.dropout)]))
                kept.append(ch)
        around = [_Residual(ch, ch, emb, a.dropout) for _ in range(2)]
        self.middle = _Chain([around[0], _Attention(ch, a.head_channels), around[1]])
        self.up = nn.ModuleList()
        for level, (size, wanted) in reversed(list(enumerate(levels))):
            for i in range(a.depth + 1):
                blocks = block(ch + kept.pop(), wanted, size)
                ch = wanted
                if level and i == a.depth:
                    blocks.append(up(ch, emb, a.dropout))
                self.up.append(_Chain(blocks))
        self.last_norm = _Norm(ch)
        self.last = _zeroed(nn.Conv2d(ch, 3, 3, padding=1))

    def forward(self, x: Tensor, step: Tensor, label: Tensor | None) -> Tensor:
        emb = self.time(_sinusoids(step, self.width))
        if self.label is not None:
            assert label is not None
            emb = emb + self.label(label)
        h = self.first(x)
        kept = [h]
        for blocks in self.down:
            h = blocks(h, emb)
            kept.append(h)
        h = self.middle(h, emb)
        for blocks in self.up:
            h = blocks(torch.cat([h, kept.pop()], dim=1), emb)
        return self.last(F.silu(self.last_norm(h)))

    @torch.no_grad()
    def take(self, network: nn.Module) -> None:
        """The weights of a UNet of difflab's, whose layers come in the same order; 1x1 convolutions and linear layers are alike."""
        for mine, theirs in zip(self.parameters(), network.parameters(), strict=True):
            mine.copy_(theirs.reshape(mine.shape))


class _Chain(nn.ModuleList):
    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        for block in self:
            h = block(h, emb)
        return h


class _Norm(nn.Module):
    """Group normalisation in float32."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels)

    def forward(self, h: Tensor) -> Tensor:
        return self.norm(h.float()).type(h.dtype)


def _unchanged(h: Tensor) -> Tensor:
    return h


def _halved(h: Tensor) -> Tensor:
    return F.avg_pool2d(h, 2)


def _doubled(h: Tensor) -> Tensor:
    return F.interpolate(h, scale_factor=2, mode="nearest")


class _Residual(nn.Module):
    """skip(h) + Conv(Dropout(SiLU((1 + scale) GroupNorm(Conv(SiLU(GroupNorm(h)))) + shift))), resized after the first activation."""

    def __init__(self, given: int, wanted: int, emb: int, dropout: float, resize: Resize = _unchanged):
        super().__init__()
        self.norm_in = _Norm(given)
        self.conv_in = nn.Conv2d(given, wanted, 3, padding=1)
        self.norm_out = _Norm(wanted)
        self.embedding = nn.Sequential(nn.SiLU(), nn.Linear(emb, 2 * wanted))
        # `embedding` has its weights between those of norm and convolution, as in difflab's block
        self.out = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), _zeroed(nn.Conv2d(wanted, wanted, 3, padding=1)))
        self.skip = nn.Identity() if given == wanted else nn.Conv2d(given, wanted, 1)
        self.resize = resize

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        branch = self.conv_in(self.resize(F.silu(self.norm_in(h))))
        scale, shift = self.embedding(emb)[:, :, None, None].type(branch.dtype).chunk(2, dim=1)
        branch = self.norm_out(branch) * (1 + scale) + shift
        return self.skip(self.resize(h)) + self.out(branch)


class _Attention(nn.Module):
    """h + Conv1x1(softmax(q k^T / sqrt(head channels)) v), channels as [heads, (q, k, v), head channels]."""

    def __init__(self, channels: int, head_channels: int):
        super().__init__()
        self.heads = channels // head_channels
        self.norm = _Norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        b, c, *size = h.shape
        tokens = h.reshape(b, c, -1)
        d = c // self.heads
        q, k, v = self.qkv(self.norm(tokens)).reshape(b * self.heads, 3 * d, -1).split(d, dim=1)
        scale = 1 / math.sqrt(math.sqrt(d))
        weight = torch.einsum("bct,bcs->bts", q * scale, k * scale)
        weight = torch.softmax(weight.float(), dim=-1).type(weight.dtype)
        mixed = torch.einsum("bts,bcs->bct", weight, v).reshape(b, c, -1)
        return (tokens + self.out(mixed)).reshape(b, c, *size)


class _ConvDown(nn.Module):
    def __init__(self, channels: int, emb: int, dropout: float):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        return self.conv(h)


class _ConvUp(nn.Module):
    def __init__(self, channels: int, emb: int, dropout: float):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        return self.conv(_doubled(h))


def _BlockDown(channels: int, emb: int, dropout: float) -> nn.Module:  # noqa: N802
    return _Residual(channels, channels, emb, dropout, _halved)


def _BlockUp(channels: int, emb: int, dropout: float) -> nn.Module:  # noqa: N802
    return _Residual(channels, channels, emb, dropout, _doubled)


def _sinusoids(step: Tensor, width: int) -> Tensor:
    """[cos(step f_k), sin(step f_k)], f_k = 10000^(-k / (width / 2))."""
    half = width // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half, device=step.device).float() / half)
    angle = step[:, None].float() * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def _zeroed(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
