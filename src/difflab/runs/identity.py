"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from difflab.foreign_code import ForeignCode, foreign_code

BY_FINGERPRINT = frozenset({"evaluation", "held_out", "data.dataset.root", "data.dataset.path", "extractor.weights"})
"""Keys that enter by what they lead to: by the fingerprint of the data and of what judges the weights. (Their code counts.)"""

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


ADDED_LATER = frozenset({"conditioning", "module.objective.conditionings"})
"""Keys that say nothing where nothing is chosen: runs that were begun before there was such a choice go on."""


CALLBACKS = "callbacks"

ONLY_WATCHES = "only_watches"
"""Key by which a callback's node says that it looks on: a run with it is the run without it. Every other callback counts."""


def identity(
    config: Mapping[str, Any], data_fingerprint: str, judge_fingerprint: str, code: Mapping[str, str] | None = None
) -> str:
    """A hash of everything that changes the result: the resolved configuration without `WHERE_AND_HOW`, the data, what judges the
    weights (the feature extractor that was found for the scores, or held-out images), and the user's own code.

    The number of processes and the place of the data are not in it, the seed is. What to do about a divergence is not: it changes
    nothing in a run that does not diverge, and one that did may go on under another policy.

    Args:
        config: Resolved, plain.
        data_fingerprint: Of the data set's content.
        judge_fingerprint: Of what judges the weights.
        code: Fingerprints of code that is neither difflab's nor of a library that it requires; None for those of the code that the
            configuration names, as it is now. Where there is no such code they are no part of the hash.
    """
    counted = _without(config, "", WHERE_AND_HOW | BY_FINGERPRINT | {CALLBACKS})
    relevant = {"config": counted, "data": data_fingerprint, "extractor": judge_fingerprint}
    if code is None:
        code = code_of(config).fingerprints()
    if code:
        relevant["code"] = dict(code)
    if callbacks := acting_callbacks(config):
        relevant["callbacks"] = callbacks
    order = list(config.get("guidance") or {})
    if order != sorted(order):  # guidances nest, and keys are sorted below
        relevant["guidance_order"] = order
    text = json.dumps(relevant, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


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
        silent = {key for key in node if inner[key] in left_out or (inner[key] in ADDED_LATER and not node[key])}
        return {key: _without(node[key], inner[key], left_out) for key in node if key not in silent}
    if isinstance(node, list):
        return [_without(value, path, left_out) for value in node]
    return node
