"""The user's callbacks, the group `callbacks`: added to those that make a run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from difflab.metrics import MetricInfo

KNOWN_TO_CALLBACKS = ("monitor", "mode")
"""What a callback that watches a score is told where its node leaves it open: the score by which best.ckpt is chosen, and which way is
better."""


def given_callbacks(nodes: DictConfig, scores: Mapping[str, MetricInfo], monitor: str) -> list[Any]:
    """Builds them.

    Args:
        nodes: Name -> node with a `_target_`.
        scores: Name of a score that is logged -> what kind of number it is.
        monitor: The one of them by which best.ckpt is chosen.

    Raises:
        ConfigError: One of them cannot be built, is no callback, or watches a score that there is not.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from pytorch_lightning import Callback

    from difflab.cli.arguments import cause
    from difflab.cli.groups import ConfigError
    from difflab.runs.identity import ONLY_WATCHES

    plain: Any = OmegaConf.to_container(nodes, resolve=True)
    made = []
    for name, node in plain.items():
        if type(node.pop(ONLY_WATCHES, False)) is not bool:
            raise ConfigError(f"callbacks.{name}.{ONLY_WATCHES} must be true or false")
        node |= _told(node, _parameters(node["_target_"]), scores, monitor)
        _check_monitor(name, node, plain, scores)
        try:
            callback = instantiate(node, _convert_="all")
        except InstantiationException as error:
            raise ConfigError(f"callbacks.{name}: {node['_target_']}: {cause(error)}") from error
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks.{name}: {node['_target_']} makes a {type(callback).__name__}, and no Lightning callback"
            )
        made.append(callback)
    return made


def _parameters(target: str) -> Mapping[str, inspect.Parameter]:
    """The arguments of a constructor; none where it does not say."""
    from hydra.utils import get_object

    try:
        return inspect.signature(get_object(target)).parameters
    except ValueError:  # as of dict
        return {}


def _told(
    node: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter], scores: Mapping[str, MetricInfo], monitor: str
) -> dict[str, str]:
    """The arguments that a node leaves open and the scores know."""
    told = {}
    if "monitor" in parameters and "monitor" not in node and parameters["monitor"].default is inspect.Parameter.empty:
        told["monitor"] = monitor
    watched = scores.get({**told, **node}.get("monitor", ""))
    if watched is not None and "mode" in parameters and "mode" not in node:
        told["mode"] = "max" if watched.higher_is_better else "min"
    return told


def _check_monitor(name: str, node: Mapping[str, Any], nodes: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """A ConfigError for a score that nobody logs. (A callback of the user's may log others.)"""
    from difflab.cli.groups import ConfigError, near_name

    watched = node.get("monitor")
    own = any(not str(one["_target_"]).startswith("pytorch_lightning.") for one in nodes.values())
    if isinstance(watched, str) and watched not in scores and (not own or watched.startswith("eval/")):
        near = near_name(watched, scores)
        hint = f"did you mean {near}?" if near else f"evaluations log {', '.join(scores)}"
        raise ConfigError(f"callbacks.{name}.monitor={watched}: there is no such score; {hint}")
