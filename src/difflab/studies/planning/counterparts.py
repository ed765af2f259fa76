"""The size and work of a run's network, beside the published transformers and UNets that compute about as much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from difflab.config.build import build
from difflab.config.keys import ConfigError
from difflab.config.trust import read_back
from difflab.networks import Network
from difflab.reading.text import printable, read_text
from difflab.studies.planning.counting import count_network


class Published(NamedTuple):
    """A published network.

    Attributes:
        name: Of the model.
        parameters: All of them, without fixed tables.
        forward_flops: Of an image, one call: convolutions, linear layers and attention by torch's counter, which has a multiplication and
            an addition as two. The "Gflops" of papers are often multiply-adds, half as many.
    """

    name: str
    parameters: int
    forward_flops: int


TRANSFORMERS = (
    Published("DiT-S/8", 33_142_016, 715_948_032),
    Published("DiT-S/4", 32_920_448, 2_825_158_656),
    Published("DiT-S/2", 32_865_056, 12_111_347_712),
    Published("DiT-B/8", 130_869_248, 2_835_087_360),
    Published("DiT-B/4", 130_426_496, 11_130_372_096),
    Published("DiT-B/2", 130_315_808, 46_010_204_160),
    Published("DiT-L/8", 458_578_432, 10_022_813_696),
    Published("DiT-L/4", 457_988_224, 39_391_330_304),
    Published("DiT-L/2", 457_840_672, 161_395_245_056),
    Published("DiT-XL/8", 675_664_640, 14_784_823_296),
    Published("DiT-XL/4", 675_000_704, 58_087_342_080),
    Published("DiT-XL/2", 674_834_720, 237_242_843_136),
    Published("DiT-XL/2 of 512 x 512", 674_834_720, 1_049_076_596_736),
)
"""Of 256 x 256 images, which are latents of 4 x 32 x 32 (arXiv 2212.09748, table 1)."""

UNETS = (
    Published("ADM 64 x 64", 295_904_454, 219_356_037_120),
    Published("ADM 128 x 128", 421_529_606, 613_855_789_056),
    Published("ADM 256 x 256", 553_838_086, 2_239_665_537_024),
    Published("ADM 512 x 512", 558_997_638, 3_964_669_526_016),
    Published("ADM-U 64 to 256", 311_795_910, 1_263_284_748_288),
    Published("ADM-U 128 to 512", 308_835_270, 5_009_569_972_224),
)
"""arXiv 2105.05233, tables 11 and 13."""


def nearest(flops: float, among: Sequence[Published]) -> Published:
    """The one whose work is nearest, by its ratio."""
    return min(among, key=lambda one: abs(math.log(one.forward_flops / flops)))


def work(config: Path) -> dict[str, Any] | None:
    """What a run's network has and computes, and its nearest published counterparts; nothing is computed, and no weights are read.

    Args:
        config: The run's config.yaml.

    Returns:
        None for a run that has no network, or one that cannot be counted or is of a package that is not trusted: `reason` says why.
    """
    try:
        read = read_back(read_text(config), config)
        if not read.get("network"):
            return None
        with torch.device("meta"):
            network = build(read["network"])
        if not isinstance(network, Network):
            return None
        count = count_network(network, read["data"].get("num_classes") or 0)
    except (ConfigError, ValueError, TypeError, KeyError) as error:
        return {"reason": " ".join(str(error).split())}
    found: dict[str, Any] = {
        "kind": type(network).__name__,
        "parameters": sum(p.numel() for p in network.parameters()),
        "forward_flops": int(count.forward_flops),
    }
    if count.forward_flops > 0:
        found["nearest"] = [nearest(count.forward_flops, family)._asdict() for family in (TRANSFORMERS, UNETS)]
    return found


def as_text(found: Mapping[str, Any] | None) -> list[str]:
    """`work` for a person, in the form of `difflab info`."""
    if found is None:
        return []
    if "reason" in found:
        return [f"network   not counted: {printable(found['reason'])}"]
    lines = [f"network   {found['kind']}, {_of(found)}, for an image and a call"]
    return lines + [f"nearest   {one['name']}, {_of(one)}" for one in found.get("nearest", [])]


def _of(one: Mapping[str, Any]) -> str:
    flops = one["forward_flops"]
    return f"{one['parameters'] / 1e6:.3g} M parameters, {flops / 1e9:.3g} GFLOP ({flops / 2e9:.3g} G multiply-adds)"
