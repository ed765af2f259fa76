"""What a command says of how a model draws, in place of what the model's run says, and what of it a protocol names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from difflab.config.near_keys import check_references
from difflab.former_names import first
from difflab.guidance import ClassifierFree, Guidance
from difflab.runs.export import weights_sha256
from difflab.runtime.foreign_code import foreign_code
from difflab.samplers import Sampler
from difflab.sampling.upsampled import set_level
from difflab.schedules import Chain, NoiseSchedule


def guidance_fields(config: Mapping[str, Any], guidances: Mapping[str, Guidance]) -> dict[str, Any]:
    """The guidances' configuration, where a network that one brings along is named by its weights and not by where they lie; of several
    also in which order they lie around the model, which the names of fields do not tell.

    config      name -> node, plain and resolved
    guidances   what was made of it
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


def as_chosen(config: DictConfig, trained: DictConfig) -> DictConfig:
    """The model's configuration with the command's sampler, guidance, steps, eta, scale and level. A ValueError says which of them does
    not fit."""
    # the parts that were chosen here replace the run's and may refer to the others, as sampler=ddpm does to the variance
    model = trained.copy()
    for name in ("sampler", "guidance"):
        if config.get(name) is not None:
            OmegaConf.update(model, name, config._get_node(name), merge=False)
    if config.steps is not None:
        if "steps" not in model.sampler.get("grid", {}):
            raise ValueError(f"steps={config.steps}: the grid of {model.sampler._target_} is not chosen by a number")
        model.sampler.grid.steps = config.steps
    if config.eta is not None:
        if "eta" not in model.sampler:
            raise ValueError(f"eta={config.eta}: {model.sampler._target_} has no eta; DDIM does")
        model.sampler.eta = config.eta
    if config.scale is not None:
        _guide(model, config.scale)
    # w = 1 is no guidance, whatever the kind: without it the same images have one name
    nodes = {name: model.guidance._get_node(name) for name in model.guidance}
    acting = {name: node for name, node in nodes.items() if node.get("scale") != 1}
    if len(acting) < len(nodes):
        OmegaConf.update(model, "guidance", acting, merge=False)
    if config.level is not None:
        set_level(model, config.level)
    check_references(model)
    return model


def _guide(model: DictConfig, scale: float) -> None:
    """This scale for the one guidance that has a scale; classifier-free guidance, innermost, where there is none. A ValueError if there
    are several."""
    scaled = [str(name) for name, node in model.guidance.items() if "scale" in node]
    if len(scaled) > 1:
        keys = ", ".join(f"guidance.{name}.scale" for name in scaled)
        raise ValueError(f"scale={scale:g}: there is more than one guidance with a scale; set {keys}")
    if scaled:
        model.guidance[scaled[0]].scale = scale
    else:
        one = {"classifier_free": {"_target_": f"{ClassifierFree.__module__}.ClassifierFree", "scale": scale}}
        OmegaConf.update(model, "guidance", {**one, **model.guidance}, merge=False)
