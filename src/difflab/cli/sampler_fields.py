"""What of a number's protocol the sampler is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difflab.samplers import Sampler
from difflab.schedules import Chain, NoiseSchedule


def sampler_fields(config: Mapping[str, Any], sampler: Sampler, schedule: NoiseSchedule) -> dict[str, Any]:
    """The sampler's configuration; where churn raises the first step above the schedule's end, also to which level.

    That step added nothing before (the level was cut at the end). So images and numbers of then lack the field: they are not taken for
    those of now, are not continued, and a comparison names it.

    Args:
        config: Its node, plain and resolved.
        sampler: What was made of it.
        schedule: The model's.
    """
    raised = sampler.churn.above_end(schedule, Chain(schedule, sampler.grid(schedule)))
    return {"sampler": {**config, **({"raised_to": float(f"{raised:.6g}")} if raised else {})}}
