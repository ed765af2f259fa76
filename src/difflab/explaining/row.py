"""One configuration of several that are shown side by side: its parts, built without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.config.build import build
from difflab.config.groups import ConfigError
from difflab.objectives import Objective
from difflab.parameterizations import Parameterization
from difflab.schedules import NoiseSchedule


@dataclass(frozen=True)
class Row:
    """What is told of a configuration.

    Attributes:
        name: What it does not share with the others.
        schedule: Its schedule.
        parameterization: How its network is read; None where there is none, or none that fits.
        objective: Likewise.
        grid: The times that its sampler visits, from 0; None for a sampler that finds its own.
        notes: Sentences on what cannot be told, and why.
    """

    name: str
    schedule: NoiseSchedule
    parameterization: Parameterization | None
    objective: Objective | None
    grid: Float64[Tensor, " n"] | None
    notes: list[str] = field(default_factory=list)


def row_of(name: str, parts: Mapping[str, Any]) -> Row:
    """Builds the parts of a configuration.

    Args:
        name: Of the row.
        parts: schedule, parameterization, objective, sampler: their plain nodes.

    Raises:
        ConfigError: There is no schedule, it cannot be built, or the sampler cannot walk the times of its grid down this schedule.
    """
    if not parts.get("schedule"):
        raise ConfigError(f"{name}: a configuration without a schedule has no noise to be shown: schedule=cosine, say")
    notes = list[str]()

    def built(part: str) -> Any:
        try:
            return build(parts[part]) if parts.get(part) else None
        except ConfigError as error:  # such as previous_x, of a schedule without steps
            notes.append(str(error))
            return None

    schedule, parameterization, objective = build(parts["schedule"]), built("parameterization"), built("objective")
    return Row(name, schedule, parameterization, objective, _grid(name, built("sampler"), schedule), notes)


@torch.no_grad()
def _grid(name: str, sampler: Any, schedule: NoiseSchedule) -> Float64[Tensor, " n"] | None:
    if sampler is None or sampler.grid is None:
        return None
    try:
        return sampler.chain(schedule).times
    except ValueError as error:
        raise ConfigError(f"{name}: sampler.grid: {error}") from error
