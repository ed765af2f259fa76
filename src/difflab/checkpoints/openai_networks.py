"""OpenAI's constructor arguments in our words.

`Architecture` holds what guided-diffusion's classes UNetModel, SuperResModel and EncoderUNetModel are built from, `architecture` makes one
from command-line flags, `build` makes our network of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from torch import nn

from difflab.checkpoints.openai_flags import (
    CLASSIFIER_DEFAULTS,
    CONSTANTS,
    DIFFUSION_DEFAULTS,
    SUPERRES_DEFAULTS,
    UNET_DEFAULTS,
    Flags,
    is_classifier,
    is_superres,
    parse,
)
from difflab.networks import Encoder, SuperRes, UNet
from difflab.networks.layers import (
    AdaptiveGroupNorm,
    AdditiveGroupNorm,
    AttentionPooling,
    AveragePooling,
    BigGANResample,
    ConvResample,
    HeadCount,
    HeadsFirstAttention,
    HeadWidth,
    LabelEmbedding,
    NormalizedSpatialPooling,
    Pooling,
    PoolResample,
    QKVFirstAttention,
    Resample,
    SpatialPooling,
)

UNET, SUPERRES, ENCODER = "UNetModel", "SuperResModel", "EncoderUNetModel"

_CHANNEL_MULT: dict[int, tuple[float, ...]] = {
    64: (1, 2, 3, 4),
    128: (1, 1, 2, 3, 4),
    256: (1, 1, 2, 2, 4, 4),
    512: (0.5, 1, 1, 2, 2, 4, 4),
}
_UNET_CHANNEL_MULT = {32: (1, 2, 2, 2)} | _CHANNEL_MULT  # improved-diffusion has 32, for its UNet alone
_SUPERRES_CHANNEL_MULT: dict[int, tuple[float, ...]] = {
    64: (1, 2, 3, 4),
    256: (1, 1, 2, 2, 4, 4),
    512: (1, 1, 2, 2, 4, 4),
}


@dataclass(frozen=True)
class Architecture:
    """Arguments of OpenAI's network classes under their names and with their defaults.

    Attributes:
        cls: UNetModel, SuperResModel or EncoderUNetModel.
        attention_resolutions: By what the image has been divided where there is attention (not the image size that is left).
        in_channels: Of the image; SuperResModel adds those of the small one.
    """

    cls: str
    image_size: int
    model_channels: int
    num_res_blocks: int
    attention_resolutions: Sequence[int]
    out_channels: int
    in_channels: int = 3
    dropout: float = 0.0
    channel_mult: Sequence[float] = (1, 2, 4, 8)
    conv_resample: bool = True
    num_classes: int | None = None
    use_checkpoint: bool = False
    use_fp16: bool = False
    num_heads: int = 1
    num_head_channels: int = -1
    num_heads_upsample: int = -1
    use_scale_shift_norm: bool = False
    resblock_updown: bool = False
    use_new_attention_order: bool = False
    pool: str = "adaptive"


def architecture(flags: Flags) -> Architecture:
    """The architecture that flags describe.

    Args:
        flags: Command-line flags, or the constructor's arguments under OpenAI's names (recognised by `model_channels`; the class is then
            `cls`, by default EncoderUNetModel where `pool` is given and else UNetModel).
    """
    if isinstance(flags, Mapping) and "model_channels" in flags:
        names = {field.name for field in fields(Architecture)}
        if unknown := sorted(set(flags) - names):
            raise ValueError(f"{unknown} are no arguments of guided-diffusion's networks; known are {sorted(names)}")
        return Architecture(**{"cls": ENCODER if "pool" in flags else UNET, **flags})
    given = parse(flags)
    known = UNET_DEFAULTS | SUPERRES_DEFAULTS | CLASSIFIER_DEFAULTS | DIFFUSION_DEFAULTS | CONSTANTS | given
    if is_classifier(given):
        return _classifier(known)
    if is_superres(given):
        return _unet(known, "large_size", SUPERRES, _SUPERRES_CHANNEL_MULT)
    return _unet(known, "image_size", UNET, _UNET_CHANNEL_MULT)


def _unet(flags: dict[str, Any], size: str, cls: str, multipliers: Mapping[int, tuple[float, ...]]) -> Architecture:
    image_size = flags[size]
    passed_on = (
        "num_res_blocks dropout num_heads num_head_channels num_heads_upsample use_checkpoint use_scale_shift_norm "
        "resblock_updown use_new_attention_order"
    )
    return Architecture(
        cls=cls,
        image_size=image_size,
        model_channels=flags["num_channels"],
        in_channels=flags["in_channels"],
        out_channels=flags["in_channels"] * (2 if flags["learn_sigma"] else 1),
        num_classes=flags["num_classes"] if flags["class_cond"] else None,
        channel_mult=_numbers(flags["channel_mult"]) or _published(multipliers, size, image_size),
        attention_resolutions=_divisors(image_size, flags["attention_resolutions"]),
        **{name: flags[name] for name in passed_on.split()},
    )


def _classifier(flags: dict[str, Any]) -> Architecture:
    image_size = flags["image_size"]
    return Architecture(
        cls=ENCODER,
        image_size=image_size,
        model_channels=flags["classifier_width"],
        in_channels=flags["in_channels"],
        out_channels=flags["num_classes"],
        num_res_blocks=flags["classifier_depth"],
        channel_mult=_published(_CHANNEL_MULT, "image_size", image_size),
        attention_resolutions=_divisors(image_size, flags["classifier_attention_resolutions"]),
        num_head_channels=64,
        use_scale_shift_norm=flags["classifier_use_scale_shift_norm"],
        resblock_updown=flags["classifier_resblock_updown"],
        pool=flags["classifier_pool"],
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


def _divisors(image_size: int, resolutions: str) -> tuple[int, ...]:
    return tuple(image_size // int(part) for part in resolutions.split(",") if part)


def _published(multipliers: Mapping[int, tuple[float, ...]], size: str, image_size: int) -> tuple[float, ...]:
    if image_size not in multipliers:
        raise ValueError(
            f"OpenAI's code has no channel multipliers for {size}={image_size} (only for {sorted(multipliers)}); "
            'for a UNet give them, as in "--channel_mult 1,2,2,2"'
        )
    return multipliers[image_size]


def build(arch: Architecture) -> UNet | SuperRes | Encoder:
    """Our network with the same function. `use_fp16` is left to the one who runs it, and recomputation never changes results."""
    if arch.cls not in (UNET, SUPERRES, ENCODER):
        raise ValueError(f"guided-diffusion's networks are {UNET}, {SUPERRES} and {ENCODER}, not {arch.cls!r}")
    shared: dict[str, Any] = {
        "norm": AdaptiveGroupNorm if arch.use_scale_shift_norm else AdditiveGroupNorm,
        "resample": _resample(arch),
        "attention": _attention(arch, arch.num_heads),
        "width": arch.model_channels,
        "channel_mult": arch.channel_mult,
        "depth": arch.num_res_blocks,
        "attention_resolutions": _resolutions(arch),
        "dropout": arch.dropout,
        "gradient_checkpointing": arch.use_checkpoint,
    }
    if arch.cls == ENCODER:
        return Encoder(arch.image_size, arch.in_channels, arch.out_channels, pooling=_pooling(arch), **shared)
    if arch.num_heads_upsample != -1:
        shared["up_attention"] = _attention(arch, arch.num_heads_upsample)
    shared["embedders"] = {} if arch.num_classes is None else {"label": partial(LabelEmbedding, arch.num_classes)}
    if arch.cls == UNET:
        return UNet(arch.image_size, arch.in_channels, arch.out_channels, **shared)
    unet = UNet(arch.image_size, 2 * arch.in_channels, arch.out_channels, **shared)
    return SuperRes(unet, image_channels=arch.in_channels)


def _resample(arch: Architecture) -> Resample:
    if arch.resblock_updown:
        return BigGANResample()
    return ConvResample() if arch.conv_resample else PoolResample()


def _heads(arch: Architecture, count: int) -> Callable[[int], int]:
    return HeadCount(count) if arch.num_head_channels == -1 else HeadWidth(arch.num_head_channels)


def _attention(arch: Architecture, count: int) -> Callable[[int], nn.Module]:
    layout = QKVFirstAttention if arch.use_new_attention_order else HeadsFirstAttention
    return partial(layout, heads=_heads(arch, count))


def _resolutions(arch: Architecture) -> tuple[int, ...]:
    # theirs is silent about attention at a resolution that no level has
    divisors = (2**level for level in range(len(arch.channel_mult)))
    return tuple(arch.image_size // divisor for divisor in divisors if divisor in arch.attention_resolutions)


def _pooling(arch: Architecture) -> Callable[[Sequence[int], int, int], Pooling]:
    kinds: dict[str, Callable[[Sequence[int], int, int], Pooling]] = {
        "attention": partial(AttentionPooling, heads=HeadWidth(arch.num_head_channels)),
        "adaptive": AveragePooling,
        "spatial": SpatialPooling,
        "spatial_v2": NormalizedSpatialPooling,
    }
    if arch.pool not in kinds:
        raise ValueError(f"guided-diffusion's classifiers have the pools {', '.join(kinds)}, not {arch.pool!r}")
    return kinds[arch.pool]
