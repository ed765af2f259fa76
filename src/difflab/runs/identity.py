"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import inspect
import json
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from difflab.former_names import NEUTRAL, first, present
from difflab.runtime.foreign_code import ForeignCode, foreign_code

BY_FINGERPRINT = frozenset(
    {"evaluation", "held_out", "data.dataset.root", "data.dataset.path", "extractor.weights", "init_from.checkpoint"}
)
"""Keys that enter by what they lead to: by the fingerprint of the data, of what judges the weights, and of the weights that training
starts from. (Their code counts.)"""

WHERE_AND_HOW = frozenset(
    {
        "run",
        "logger",
        "launcher",
        "target",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.num_nodes",
        "strategy",
        "compute",
        "module.compute",
        "trainer.accumulate_grad_batches",
        "trainer.val_check_interval",
        "trainer.log_every_n_steps",
        "module.objective.log_every",
        "trainer.max_time",
        "trainer.enable_progress_bar",
        "data.micro_batch",
        "data.num_workers",
        "checkpoint",
        "checkpoint_io",
        "divergence",
        "ema_snapshots",
        "eval.batch_size",
        "trust",
    }
)
"""Keys that say where or how a run is executed and not what comes out of it."""


JUDGED_BY = frozenset(
    {
        "eval",
        "evaluation",
        "held_out",
        "extractor",
        "sampler",
        "guidance",
        "conditions",
        "module.sampler",
        "module.guidance",
    }
)
"""Keys that say how weights are judged, and not what they are."""

LENGTH = "trainer.max_steps"

EMPTY = (None, "", {}, [])

COUNTED_IF_EMPTY = frozenset({"callbacks", "ema", "embedder", "guidance", "held_out", "logger", "target"})
"""Keys of train.yaml that were in the hash of the first runs also where nothing is chosen. None is ever added: where nothing is chosen of
any other one, the run is that of before there was such a choice."""


CALLBACKS = "callbacks"

ONLY_WATCHES = "only_watches"
"""Key by which a callback's node says that it looks on: a run with it is the run without it. Every other callback counts."""


def identity(
    config: Mapping[str, Any],
    data_fingerprint: str,
    judge_fingerprint: str,
    code: Mapping[str, str] | None = None,
    initial: str = "",
    frozen: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A hash of everything that changes the result.

    That is the resolved configuration without `WHERE_AND_HOW`, the data, what judges the weights (the feature extractor that was found for
    the scores, or held-out images), the user's own code, and the weights from which training starts where they are given.

    The number of processes and the place of the data are not in it, the seed is. What to do about a divergence is not: it changes nothing
    in a run that does not diverge, and one that did may go on under another policy.

    Args:
        config: Resolved, plain.
        data_fingerprint: Of the data set's content.
        judge_fingerprint: Of what judges the weights.
        code: Fingerprints of code that is neither difflab's nor of a library that it requires; None for those of the code that the
            configuration names, as it is now. Where there is no such code they are no part of the hash.
        initial: Fingerprint of the weights from which training starts; "" for those that the seed draws.
        frozen: Name -> fingerprint of the models that the objective brings along, see `difflab.objectives.Objective`.
    """
    config = first(config)
    counted = _without(config, "", WHERE_AND_HOW | BY_FINGERPRINT | {CALLBACKS} | _places_of(frozen))
    relevant = {"config": counted, "data": data_fingerprint, "extractor": judge_fingerprint}
    if code is None:
        code = code_of(config).fingerprints()
    if initial:
        relevant["initial"] = initial
    if frozen:
        relevant["frozen"] = dict(frozen)
    if code:
        relevant["code"] = dict(code)
    if callbacks := acting_callbacks(config):
        relevant["callbacks"] = callbacks
    order = list(config.get("guidance") or {})
    if order != sorted(order):  # guidances nest, and keys are sorted below
        relevant["guidance_order"] = order
    return _hash(relevant)


def course(
    config: Mapping[str, Any], data_fingerprint: str, initial: str, frozen: Mapping[str, str] = MappingProxyType({})
) -> str:
    """A hash of what the weights are after each step: of two runs with the same course either may go on where the other is.

    It is the identity without the number of steps, and without what judges the weights unless callbacks of the user's own may act upon
    the scores. A schedule of learning rates that is as long as training is part of it: longer, it has other rates from the first step.
    The user's own code is no part of it; see `course_code`.

    Args:
        config: Resolved, plain.
        data_fingerprint: Of the data set's content.
        initial: Fingerprint of the weights from which training starts; "" for those that the seed draws.
        frozen: Name -> fingerprint of the models that the objective brings along.
    """
    known = {"course": _of_course(config, frozen), "data": data_fingerprint, "initial": initial}
    return _hash(known | ({"frozen": dict(frozen)} if frozen else {}))


def differ_in_length_alone(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configurations would have the same course if training were as long: they differ where each has its number of steps."""
    lengths = (one["trainer"]["max_steps"], other["trainer"]["max_steps"])
    return lengths[0] != lengths[1] and _same_but_for(_of_course(one), _of_course(other), lengths)


def course_code(config: Mapping[str, Any]) -> ForeignCode:
    """The user's own code on which the weights depend."""
    return foreign_code(_of_course(config))


def _places_of(frozen: Iterable[str]) -> frozenset[str]:
    """The keys that say where models lie of which the weights are known."""
    places = ("objective", "module.objective.objective", "space", "module.space")
    return frozenset(f"{place}.{name}.checkpoint" for place in places for name in frozen)


def _of_course(config: Mapping[str, Any], frozen: Iterable[str] = ()) -> dict[str, Any]:
    config = first(config)
    callbacks = acting_callbacks(config)
    judged_by = frozenset() if callbacks else JUDGED_BY
    left_out = WHERE_AND_HOW | BY_FINGERPRINT | judged_by | {CALLBACKS, LENGTH} | _places_of(frozen)
    counted = _without(config, "", left_out)
    return {"config": counted, "callbacks": callbacks}


def _same_but_for(one: Any, other: Any, pair: tuple[Any, Any]) -> bool:
    """Whether two nodes are equal but for values that are the first of a pair in one and the second in the other."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same_but_for(one[key], other[key], pair) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same_but_for(*both, pair) for both in zip(one, other, strict=True))
    return one == other or (one, other) == pair


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def code_of(config: Mapping[str, Any]) -> ForeignCode:
    """The user's own code that a run is made of; what logs, launches or places it is not."""
    return foreign_code(_without(config, "", WHERE_AND_HOW | {CALLBACKS}), acting_callbacks(config))


def acting_callbacks(config: Mapping[str, Any]) -> list[Any]:
    """The nodes of the user's callbacks that may change what is trained: all that do not say that they only watch."""
    nodes = (config.get(CALLBACKS) or {}).values()
    return [
        {key: value for key, value in node.items() if key != ONLY_WATCHES}
        for node in nodes
        if not node.get(ONLY_WATCHES)
    ]


def _without(node: Any, path: str, left_out: frozenset[str]) -> Any:
    if isinstance(node, Mapping):
        inner = {key: f"{path}.{key}" if path else str(key) for key in node}
        neutral = _neutral_arguments(node.get("_target_"))
        silent = {
            key
            for key in node
            if inner[key] in left_out
            or (key in neutral and node[key] == neutral[key])
            or (not path and node[key] in EMPTY and key not in COUNTED_IF_EMPTY)
        }
        return {key: _without(node[key], inner[key], left_out) for key in node if key not in silent}
    if isinstance(node, list):
        return [_without(value, path, left_out) for value in node]
    return node


@cache
def _neutral_arguments(name: str | None) -> Mapping[str, Any]:
    """Argument -> default, of those arguments of a part of difflab's that are marked as `difflab.former_names.Neutral`."""
    name = present({"_target_": name})["_target_"]
    if not isinstance(name, str) or not name.startswith("difflab."):
        return {}
    try:
        part = pkgutil.resolve_name(name)
        parameters = inspect.signature(part).parameters.values()
    except (ImportError, AttributeError, ValueError, TypeError):  # a part that there was once, or one that does not say
        return {}
    return {one.name: one.default for one in parameters if _is_neutral(one.annotation)}


def _is_neutral(annotation: Any) -> bool:
    return str(annotation).startswith("Neutral[") or NEUTRAL in getattr(annotation, "__metadata__", ())
