"""The command-line flags of OpenAI's guided-diffusion and improved-diffusion, and those of their released models (the projects' READMEs).

The two have the same flags, but for a few, and the same defaults, but for one: improved-diffusion tells its networks t * 1000 / T unless
`rescale_timesteps` says otherwise, guided-diffusion tells them t. Where T is not 1000 and nothing says whose flags they are, that is asked.

A set of flags says which of three networks is meant. `large_size` means the super-resolution UNet. Else a flag of the diffusion
network (`num_channels`, ...) means the UNet. Else a flag of the classifier (`classifier_depth`, ...) means the classifier, and
so do flags that are exactly the published ones of a released classifier. Else it is the UNet with its default settings.
"""

import ast
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.suggest import suggestion

Flags = Mapping[str, Any] | str

DIFFUSION_DEFAULTS: dict[str, Any] = {
    "learn_sigma": False,
    "diffusion_steps": 1000,
    "noise_schedule": "linear",
    "timestep_respacing": "",
    "use_kl": False,
    "predict_xstart": False,
    "rescale_timesteps": False,
    "rescale_learned_sigmas": False,
    "sigma_small": False,
}
UNET_DEFAULTS: dict[str, Any] = {
    "image_size": 64,
    "num_channels": 128,
    "num_res_blocks": 2,
    "num_heads": 4,
    "num_heads_upsample": -1,
    "num_head_channels": -1,
    "attention_resolutions": "16,8",
    "channel_mult": "",
    "dropout": 0.0,
    "class_cond": False,
    "use_checkpoint": False,
    "use_scale_shift_norm": True,
    "resblock_updown": False,
    "use_fp16": False,
    "use_new_attention_order": False,
}
SUPERRES_DEFAULTS: dict[str, Any] = {"large_size": 256, "small_size": 64}
CLASSIFIER_DEFAULTS: dict[str, Any] = {
    "classifier_use_fp16": False,
    "classifier_width": 128,
    "classifier_depth": 2,
    "classifier_attention_resolutions": "32,16,8",
    "classifier_use_scale_shift_norm": True,
    "classifier_resblock_updown": True,
    "classifier_pool": "attention",
}
CONSTANTS: dict[str, Any] = {"num_classes": 1000, "in_channels": 3}
"""Fixed in guided-diffusion's code, so no flags there; those who edited the code can say so here."""

GUIDED_ONLY = (
    "num_head_channels",
    "channel_mult",
    "resblock_updown",
    "use_new_attention_order",
)
"""Flags of networks that improved-diffusion does not have."""

# flags of the scripts that say nothing of a model, so that a README's command can be given as it is
_SCRIPT_FLAGS = {
    "model_path": "",
    "base_samples": "",
    "batch_size": 1,
    "num_samples": 1,
    "clip_denoised": True,
    "use_ddim": False,
    "classifier_path": "",
    "classifier_scale": 1.0,
}
_DEFAULTS = UNET_DEFAULTS | SUPERRES_DEFAULTS | CLASSIFIER_DEFAULTS | DIFFUSION_DEFAULTS | CONSTANTS | _SCRIPT_FLAGS

_ADM = (
    "--diffusion_steps 1000 --learn_sigma True --num_res_blocks 2 --resblock_updown True --use_fp16 True "
    "--use_scale_shift_norm True "
)
_IMAGENET = _ADM + "--attention_resolutions 32,16,8 --class_cond True --noise_schedule linear --num_channels 256 "
_LSUN = (
    _ADM + "--attention_resolutions 32,16,8 --class_cond False --image_size 256 --noise_schedule linear "
    "--num_channels 256 --num_head_channels 64 "
)
_UPSAMPLER = _ADM + "--class_cond True --noise_schedule linear --num_channels 192 "

_IMPROVED = "--rescale_timesteps True --rescale_learned_sigmas True --learn_sigma True --num_channels 128 "
_AS_GUIDED = "--rescale_timesteps False --rescale_learned_sigmas False "
_COSINE = _IMPROVED + "--diffusion_steps 4000 --noise_schedule cosine --num_res_blocks 3 "
_BEDROOM = (
    _IMPROVED + _AS_GUIDED + "--image_size 256 --num_res_blocks 2 --num_heads 1 --use_scale_shift_norm False "
    "--attention_resolutions 16 --diffusion_steps 1000 --noise_schedule linear"
)
IMPROVED: dict[str, str] = {
    "imagenet64_uncond_100M_1500K": _COSINE + "--image_size 64",
    "imagenet64_uncond_vlb_100M_1500K": _COSINE + "--image_size 64 --use_kl True",
    "imagenet64_cond_270M_250K": _COSINE + _AS_GUIDED + "--image_size 64 --num_channels 192 --class_cond True",
    "cifar10_uncond_50M_500K": _COSINE + "--image_size 32 --dropout 0.3",
    "cifar10_uncond_vlb_50M_500K": _COSINE + "--image_size 32 --dropout 0.3 --use_kl True",
    "upsample_cond_500K": _IMPROVED
    + _AS_GUIDED
    + "--large_size 256 --small_size 64 --num_channels 192 --num_res_blocks 2 "
    "--class_cond True --diffusion_steps 4000 --noise_schedule linear",
    "lsun_uncond_100M_1200K_bs128": _BEDROOM,
    "lsun_uncond_100M_2400K_bs64": _BEDROOM,
}
"""Name of each file of improved-diffusion (without .pt) and its flags, the defaults that differ from guided-diffusion's among them."""

RELEASED: dict[str, str] = IMPROVED | {
    "64x64_diffusion": _ADM + "--attention_resolutions 32,16,8 --class_cond True --dropout 0.1 --image_size 64 "
    "--noise_schedule cosine --num_channels 192 --num_head_channels 64 --num_res_blocks 3 --use_new_attention_order True",
    "128x128_diffusion": _IMAGENET + "--image_size 128 --num_heads 4",
    "256x256_diffusion": _IMAGENET + "--image_size 256 --num_head_channels 64",
    "256x256_diffusion_uncond": _IMAGENET + "--image_size 256 --num_head_channels 64 --class_cond False",
    "512x512_diffusion": _IMAGENET + "--image_size 512 --num_head_channels 64",
    "64_256_upsampler": _UPSAMPLER + "--attention_resolutions 32,16,8 --large_size 256 --small_size 64 --num_heads 4",
    "128_512_upsampler": _UPSAMPLER
    + "--attention_resolutions 32,16 --large_size 512 --small_size 128 --num_head_channels 64",
    "lsun_bedroom": _LSUN + "--dropout 0.1",
    "lsun_cat": _LSUN + "--dropout 0.1",
    "lsun_horse": _LSUN + "--dropout 0.1",
    "lsun_horse_nodropout": _LSUN + "--dropout 0.0",
    "64x64_classifier": "--image_size 64 --classifier_depth 4 --noise_schedule cosine",
    "128x128_classifier": "--image_size 128",
    "256x256_classifier": "--image_size 256",
    "512x512_classifier": "--image_size 512",
}
"""Name of each published file (without .pt) and the flags that differ from the defaults. A flag given twice counts as last given."""


@dataclass(frozen=True)
class DiffusionFlags:
    """What the flags say of the diffusion process around a network.

    Attributes:
        noise_schedule: "linear" or "cosine".
        diffusion_steps: T.
        learn_sigma: The network's second half is the variance fraction (learned range), else it is fixed.
        sigma_small: a fixed variance is the posterior's, else beta.
        predict_xstart: The network predicts x_0, else epsilon.
        timestep_respacing: As "250" or "ddim25"; empty for all steps.
        rescale_timesteps: The network is given t * 1000 / T instead of t.
    """

    noise_schedule: str
    diffusion_steps: int
    learn_sigma: bool
    sigma_small: bool
    predict_xstart: bool
    timestep_respacing: str
    rescale_timesteps: bool


def parse(flags: Flags) -> dict[str, Any]:
    """Flags as given ("--num_heads 4 --class_cond True", or a mapping), each checked and in its own type; no defaults yet."""
    given = _read(flags) if isinstance(flags, str) else flags
    parsed = {}
    for name, value in given.items():
        if name not in _DEFAULTS:
            raise ValueError(f"{name!r} is no flag of guided-diffusion; {suggestion(name, sorted(_DEFAULTS))}")
        parsed[name] = _typed(name, value)
    return parsed


def diffusion(flags: Flags) -> DiffusionFlags:
    """The diffusion process that goes with the network of these flags.

    Raises:
        ValueError: They leave open what times the network is told.
    """
    said = parse(flags)
    given = DIFFUSION_DEFAULTS | said
    if "rescale_timesteps" not in said and given["diffusion_steps"] != 1000 and not is_classifier(said):
        given["rescale_timesteps"] = _rescales_by_default(said)
    return DiffusionFlags(**{name: given[name] for name in DiffusionFlags.__dataclass_fields__})


def completed(flags: str, path_or_name: str | Path) -> str:
    """The flags of a README for one of its files, with the defaults of its project where they say nothing."""
    known = IMPROVED.get(_name(path_or_name))
    if known is None or "rescale_timesteps" in parse(flags):
        return flags
    return f"{flags} --rescale_timesteps {parse(known)['rescale_timesteps']}"


def _rescales_by_default(said: Mapping[str, Any]) -> bool:
    """The default of the project that alone has these flags."""
    improved = "sigma_small" in said or said.get("image_size") == 32
    guided = any(name in said for name in GUIDED_ONLY)
    if improved == guided:
        raise ValueError(
            f"--diffusion_steps {said['diffusion_steps']} without --rescale_timesteps leaves open what times the network was told: add "
            "--rescale_timesteps True for a model of improved-diffusion, or --rescale_timesteps False for one of guided-diffusion"
        )
    return improved


def small_size(flags: Flags) -> int:
    """Side of the small images of a super-resolution network."""
    return (SUPERRES_DEFAULTS | parse(flags))["small_size"]


def flags_for(path_or_name: str | Path) -> str:
    """The published flags of a released model, recognised by its name or its file's ("models/lsun_bedroom.pt")."""
    name = _name(path_or_name)
    if name not in RELEASED:
        raise ValueError(
            f"{name!r} is no released model of OpenAI's ({', '.join(RELEASED)}); for another checkpoint give the flags it "
            'was trained with, such as "--image_size 64 --num_channels 128 --num_res_blocks 3 --learn_sigma True --class_cond False '
            '--diffusion_steps 4000 --noise_schedule cosine --rescale_timesteps True"'
        )
    return RELEASED[name]


def _name(path_or_name: str | Path) -> str:
    return Path(path_or_name).name.removesuffix(".pt")


def is_superres(given: Mapping[str, Any]) -> bool:
    return "large_size" in given


def is_classifier(given: Mapping[str, Any]) -> bool:
    """Whether parsed flags mean a classifier (the module's docstring has the rule)."""
    if is_superres(given) or any(name in given for name in UNET_DEFAULTS if name != "image_size"):
        return False
    return any(name in given for name in CLASSIFIER_DEFAULTS) or any(
        dict(given) == parse(RELEASED[name]) for name in RELEASED if name.endswith("_classifier")
    )


def _read(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return ast.literal_eval(text)
    words = shlex.split(text)
    names, values = words[::2], words[1::2]
    if len(words) % 2 or any(not name.startswith("--") for name in names):
        raise ValueError(f'flags are pairs as in "--image_size 64 --class_cond True", got {text!r}')
    return {name.removeprefix("--"): value for name, value in zip(names, values, strict=True)}


def _typed(name: str, value: Any) -> Any:
    kind = type(_DEFAULTS[name])
    if kind is str and isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)
    if kind is not bool:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"flag {name} takes {kind.__name__}, got {value!r}") from None
    spelled = str(value).lower()
    if spelled in ("yes", "true", "t", "y", "1"):
        return True
    if spelled in ("no", "false", "f", "n", "0"):
        return False
    raise ValueError(f"flag {name} takes True or False, got {value!r}")
