"""score_sde's settings of a network in our words: `architecture` reads its configuration, `build` makes our network of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from difflab.networks import SongUNet
from difflab.networks.layers import (
    BigGANResample,
    DDPMResample,
    FIRConvResample,
    FIRResample,
    FourierFeatures,
    JoinedSkipInput,
    NoProgressiveInput,
    NoProgressiveOutput,
    PoolResample,
    Resample,
    ResidualInput,
    ResidualOutput,
    SinusoidFeatures,
    SkipInput,
    SkipOutput,
)

_INPUTS = {
    ("none", "sum"): NoProgressiveInput,
    ("none", "cat"): NoProgressiveInput,
    ("input_skip", "sum"): SkipInput,
    ("input_skip", "cat"): JoinedSkipInput,
    ("residual", "sum"): ResidualInput,
    ("residual", "cat"): ResidualInput,
}
_OUTPUTS = {"none": NoProgressiveOutput, "output_skip": SkipOutput, "residual": ResidualOutput}


@dataclass(frozen=True)
class Architecture:
    """What its configuration says of a network, under its names.

    Attributes:
        image_size: Side of the images.
        centered: Whether its images are in [-1, 1]; else they are in [0, 1].
        num_channels: Of the images.
        name: ncsnpp (DDPM++ too) or ddpm.
    """

    image_size: int
    centered: bool
    name: str
    nf: int
    ch_mult: Sequence[float]
    num_res_blocks: int
    attn_resolutions: Sequence[int]
    scale_by_sigma: bool
    num_channels: int = 3
    dropout: float = 0.0
    sigma_min: float = 0.01
    sigma_max: float = 50.0
    num_scales: int = 1000
    embedding_type: str = "positional"
    fourier_scale: float = 16.0
    fir: bool = False
    fir_kernel: Sequence[float] = (1, 3, 3, 1)
    skip_rescale: bool = False
    resblock_type: str = "ddpm"
    resamp_with_conv: bool = True
    progressive: str = "none"
    progressive_input: str = "none"
    progressive_combine: str = "sum"

    @property
    def is_fourier(self) -> bool:
        """Whether the network is told noise levels; else it is told steps."""
        return self.name == "ncsnpp" and self.embedding_type == "fourier"


_SAME_EVERYWHERE = {"normalization": "GroupNorm", "nonlinearity": "swish", "conditional": True, "conv_size": 3}
_SAME_EVERYWHERE |= {"attention_type": "ddpm", "init_scale": 0.0}


def architecture(model: Mapping[str, Any], image_size: int, centered: bool, num_channels: int = 3) -> Architecture:
    """The architecture of a configuration.

    Args:
        model: config.model.
        image_size: config.data.image_size.
        centered: config.data.centered.
        num_channels: config.data.num_channels.

    Raises:
        ValueError: It is none of NCSN++, DDPM++ and DDPM, or has settings that none of the published ones has.
    """
    if model.get("name") not in ("ncsnpp", "ddpm"):
        raise ValueError(f"model.name={model.get('name')!r} of score_sde: only ncsnpp (DDPM++, too) and ddpm are read")
    if other := {key: model[key] for key, value in _SAME_EVERYWHERE.items() if model.get(key, value) != value}:
        raise ValueError(f"{other} is not what score_sde's published networks have: {_SAME_EVERYWHERE}")
    known = {key: value for key, value in model.items() if key in Architecture.__dataclass_fields__}
    if model["name"] == "ddpm":  # its class asks for none of the others
        asked = "name nf ch_mult num_res_blocks attn_resolutions scale_by_sigma dropout sigma_min sigma_max num_scales"
        known = {key: known[key] for key in (*asked.split(), "resamp_with_conv") if key in known}
    for key, choices in {"progressive_input": {name for name, _ in _INPUTS}, "progressive": set(_OUTPUTS)}.items():
        if known.get(key, "none") not in choices:
            raise ValueError(f"model.{key}={known[key]!r} of score_sde: known are {sorted(choices)}")
    return Architecture(image_size=image_size, centered=centered, num_channels=num_channels, **known)


def build(arch: Architecture) -> SongUNet:
    """Our network with the same function, with fresh weights."""
    taps = arch.fir_kernel if arch.fir else (1, 1)
    enters = _INPUTS[arch.progressive_input, arch.progressive_combine.lower()]
    leaves = _OUTPUTS[arch.progressive]
    return SongUNet(
        arch.image_size,
        arch.num_channels,
        arch.num_channels,
        embedders={},
        noise_features=partial(FourierFeatures, scale=arch.fourier_scale) if arch.is_fourier else SinusoidFeatures,
        resample=_resample(arch),
        progressive_input=enters if enters is NoProgressiveInput else partial(enters, taps=taps),
        progressive_output=leaves if leaves is NoProgressiveOutput else partial(leaves, taps=taps),
        width=arch.nf,
        channel_mult=arch.ch_mult,
        depth=arch.num_res_blocks,
        attention_resolutions=arch.attn_resolutions,
        dropout=arch.dropout,
        residual_scale=0.5**0.5 if arch.skip_rescale else 1.0,
        smallest_group=1 if arch.name == "ddpm" else 4,
    )


def _resample(arch: Architecture) -> Resample:
    if arch.resblock_type == "biggan":
        return FIRResample(arch.fir_kernel) if arch.fir else BigGANResample()
    if not arch.resamp_with_conv:
        return PoolResample()
    return FIRConvResample(arch.fir_kernel) if arch.fir else DDPMResample()
