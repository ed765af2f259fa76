"""What a number's protocol says of the sampler, the guidance and the user's own code, in training's evaluation and in evaluate.py alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difflab.former_names import first
from difflab.guidance import Guidance
from difflab.runs.export import weights_sha256
from difflab.runtime.foreign_code import foreign_code
from difflab.samplers import Sampler
from difflab.schedules import Chain, NoiseSchedule


def guidance_fields(config: Mapping[str, Any], guidances: Mapping[str, Guidance]) -> dict[str, Any]:
    """The guidances' configuration, where a network that one brings along is named by its weights and not by where they lie; of several
    also in which order they lie around the model, which the names of fields do not tell.

    Args:
        config: Name -> node, plain and resolved.
        guidances: What was made of it.
    """
    fields = {
        name: {
            **first(node),
            **{part: {"weights_sha256": weights_sha256(model.state_dict())} for part, model in brought},
        }
        for name, node in config.items()
        for brought in [guidances[name].models.items()]
    }
    return {"guidance": fields} | ({"guidance_order": ", ".join(fields)} if len(fields) > 1 else {})


def code_fields(*nodes: Any) -> dict[str, Any]:
    """Module -> hash of code of the user's own that these nodes name; nothing where there is none.

    Args:
        nodes: Of what draws images, plain and resolved.
    """
    code = foreign_code(*nodes).fingerprints()
    return {"code": code} if code else {}


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
