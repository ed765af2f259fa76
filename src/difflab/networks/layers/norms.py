"""Normalisation of groups of channels, or of a batch, and how a condition moves it."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

GROUPS = 32
_SMALLEST_GROUP = 4
_LARGE = 32 * 32
"""Pixels from which on the backward pass of `_InChannelsLast` is faster than torch's (two to four times at 64 x 64)."""


def group_count(channels: int) -> int:
    """The number of groups: 32, as in every published model, where that divides the channels; else of at least 4 channels each."""
    if channels % GROUPS == 0:
        return GROUPS
    largest = max(1, min(GROUPS, channels // _SMALLEST_GROUP))
    return next(groups for groups in range(largest, 0, -1) if channels % groups == 0)


class GroupNorm(nn.Module):
    """(h - mean) / std * weight + bias with mean and std over groups of channels and all pixels.

    Computed and returned in float32 at least: under autocast and for half-precision weights too, since sums over a group of pixels lose
    digits there. The caller casts back when it is done with the normalised image.

    Args:
        channels: Channels of the image.
        eps: Added to the variance.
        groups: How many there are; None for `group_count`.
    """

    def __init__(self, channels: int, eps: float = 1e-5, groups: int | None = None):
        super().__init__()
        if groups is not None and (groups < 1 or channels % groups):
            raise ValueError(
                f"{groups} groups of a norm do not divide the {channels} channels of a level; change the number of groups, width or "
                "channel_mult"
            )
        self.groups, self.eps = groups or group_count(channels), eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, h: Float[Tensor, "b c *hw"]) -> Float[Tensor, "b c *hw"]:
        wide = torch.promote_types(h.dtype, torch.float32)
        h, weight, bias = h.to(wide), self.weight.to(wide), self.bias.to(wide)
        if h.requires_grad and _is_large_in_channels_last(h):
            return _InChannelsLast.apply(h, weight, bias, self.groups, self.eps)
        return F.group_norm(h, self.groups, weight, bias, self.eps)


def _is_large_in_channels_last(h: Tensor) -> bool:
    return (
        h.device.type == "cpu"
        and h.ndim == 4
        and h.shape[2] * h.shape[3] >= _LARGE
        and h.is_contiguous(memory_format=torch.channels_last)
        and not h.is_contiguous()
    )


class _InChannelsLast(torch.autograd.Function):
    """The group norm of torch with another backward pass, for images on a CPU whose pixels have their channels side by side.

    With r = 1 / std, m = mean, n the size of a group, and for each group G = sum of weight * dy, H = sum of weight * dy * h: dh = r weight
    dy + (G m - H) r^3 / n (h - m) - G r / n. The sums over pixels are matrix products with a row of ones, so that all that is read is read
    in the order in which it lies.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        b, c, height, width = h.shape
        out, mean, rstd = torch.native_group_norm(h, weight, bias, b, c, height * width, groups, eps)
        ctx.save_for_backward(h, weight, bias, mean, rstd)
        ctx.groups, ctx.eps = groups, eps
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = grad_outputs
        h, weight, bias, mean, rstd = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient of this gradient is wanted: a guidance around another
            out = F.group_norm(h, ctx.groups, weight, bias, ctx.eps)
            return *torch.autograd.grad(out, (h, weight, bias), dy, create_graph=True), None, None
        b, c, height, width = h.shape
        groups, n = ctx.groups, h[0].numel() // ctx.groups
        pixels, above = (image.permute(0, 2, 3, 1).reshape(b, height * width, c) for image in (h, dy))
        ones = h.new_ones(b, 1, height * width)
        product = pixels * above
        of_dy = torch.bmm(ones, above).view(b, groups, -1)
        of_product = torch.bmm(ones, product).view(b, groups, -1)
        m, r, w = mean[:, :, None], rstd[:, :, None], weight.view(1, groups, -1)
        G, H = (of_dy * w).sum(2, keepdim=True), (of_product * w).sum(2, keepdim=True)
        of_h = (G * m - H) * r**3 / n
        constant = -of_h * m - G * r / n

        def per_channel(value: Tensor) -> Tensor:
            return value.expand(b, groups, c // groups).reshape(b, 1, c)

        torch.addcmul(per_channel(constant), pixels, per_channel(of_h), out=product)
        product.addcmul_(above, per_channel(r * w))
        d_weight = ((of_product - of_dy * m) * r).sum(0).view(c)
        return product.view(b, height, width, c).permute(0, 3, 1, 2), d_weight, of_dy.sum(0).view(c), None, None


class AdaptiveGroupNorm(nn.Module):
    """AdaGN(h, emb) = (1 + y_s) GroupNorm(h) + y_b with [y_s, y_b] = Linear(emb).

    Args:
        channels: Channels of the image.
        emb_dim: Size of the (activated) embedding of time and condition.
    """

    def __init__(self, channels: int, emb_dim: int):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.linear = nn.Linear(emb_dim, 2 * channels)

    def forward(self, h: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]) -> Float[Tensor, "b c h w"]:
        return modulated(self.norm(h), self.linear(emb)).to(h.dtype)


def modulated(normalised: Float[Tensor, "b c h w"], told: Float[Tensor, "b c2"]) -> Float[Tensor, "b c h w"]:
    """(1 + y_s) normalised + y_b with [y_s, y_b] = told, in one pass over the image instead of two."""
    scale, shift = told[:, :, None, None].chunk(2, dim=1)
    return torch.addcmul(shift.to(normalised), normalised, 1 + scale.to(normalised))


class AdditiveGroupNorm(nn.Module):
    """GroupNorm(h + Linear(emb)): the embedding is added to the image before it is normalised.

    Addition and GroupNorm (DDPM, arXiv 2006.11239; the alternative to AdaGN in arXiv 2105.05233, table 3).

    Args:
        channels: Channels of the image.
        emb_dim: Size of the (activated) embedding of time and condition.
    """

    def __init__(self, channels: int, emb_dim: int):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.linear = nn.Linear(emb_dim, channels)

    def forward(self, h: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]) -> Float[Tensor, "b c h w"]:
        return self.norm(h + self.linear(emb)[:, :, None, None].to(h.dtype)).to(h.dtype)


class BatchNorm(nn.Module):
    """(h - mean) / std * weight + bias, mean and std of each channel over all images of the batch (Ioffe and Szegedy 2015).

    The batch is that of all processes, which exchange their sums, so that two compute what one does. Where nothing is trained, running
    statistics are used; they are averaged and saved with the weights.

    Args:
        channels: Channels of the image.
        momentum: Share of a batch in the running statistics.
        eps: Added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor
    couples_images = True

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, h: Float[Tensor, "b c *hw"]) -> Float[Tensor, "b c *hw"]:
        h = h.to(torch.promote_types(h.dtype, torch.float32))
        mean, var = self._of_batch(h) if self.training else (self.running_mean, self.running_var)
        shape = (1, -1, *[1] * (h.ndim - 2))
        scale = self.weight * torch.rsqrt(var + self.eps)
        return torch.addcmul((self.bias - mean * scale).view(shape), h, scale.view(shape).to(h))

    def _of_batch(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel, and the running ones moved towards them."""
        axes = [0, *range(2, h.ndim)]
        size = h.numel() // h.shape[1] * _processes()
        mean = _summed(h.double().sum(axes)) / size
        centred = h.double() - mean.view(1, -1, *[1] * (h.ndim - 2))
        var = _summed((centred**2).sum(axes)) / size
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_((var * size / max(size - 1, 1)).to(self.running_var), self.momentum)
        return mean.to(h), var.to(h)


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _summed(values: Tensor) -> Tensor:
    """Over all processes, which hold images of one batch; gradients go back to all of them."""
    if _processes() == 1:
        return values
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(values)


class AdaptiveBatchNorm(nn.Module):
    """(1 + y_s) BatchNorm(h) + y_b with [y_s, y_b] = Linear(emb): AdaGN with statistics of the batch in place of an image's own.

    Args:
        channels: Channels of the image.
        emb_dim: Size of the (activated) embedding of time and condition.
    """

    def __init__(self, channels: int, emb_dim: int):
        super().__init__()
        self.norm = BatchNorm(channels)
        self.linear = nn.Linear(emb_dim, 2 * channels)

    def forward(self, h: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]) -> Float[Tensor, "b c h w"]:
        return modulated(self.norm(h), self.linear(emb)).to(h.dtype)
