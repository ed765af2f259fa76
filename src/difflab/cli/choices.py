"""What a command says of how a model draws, in place of what the model's run says."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from difflab.cli.enlarged import set_level
from difflab.cli.references import check_references
from difflab.guidance import ClassifierFree


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
