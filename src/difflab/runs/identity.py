"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

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
        "evaluation",
        "held_out",
        "trainer.max_time",
        "data.micro_batch",
        "data.num_workers",
        "data.dataset.root",
        "data.dataset.path",
        "checkpoint",
        "checkpoint_io",
        "divergence",
        "ema_snapshots",
        "extractor.weights",
        "eval.batch_size",
    }
)
"""Keys that say where or how a run is executed and not what comes out of it, or that enter by a fingerprint."""


ADDED_LATER = frozenset({"conditioning", "module.objective.conditionings"})
"""Keys that say nothing where nothing is chosen: runs that were begun before there was such a choice go on."""


def identity(config: Mapping[str, Any], data_fingerprint: str, judge_fingerprint: str) -> str:
    """A hash of everything that changes the result: the resolved configuration without `WHERE_AND_HOW`, the data, and what
    judges the weights: the feature extractor that was found for the scores, or held-out images.

    The number of processes and the place of the data are not in it, the seed is. What to do about a divergence is not: it changes
    nothing in a run that does not diverge, and one that did may go on under another policy.
    """
    relevant = {"config": _without(config, ""), "data": data_fingerprint, "extractor": judge_fingerprint}
    order = list(config.get("guidance") or {})
    if order != sorted(order):  # guidances nest, and keys are sorted below
        relevant["guidance_order"] = order
    text = json.dumps(relevant, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _without(node: Any, path: str) -> Any:
    if isinstance(node, Mapping):
        inner = {key: f"{path}.{key}" if path else str(key) for key in node}
        silent = {key for key in node if inner[key] in WHERE_AND_HOW or (inner[key] in ADDED_LATER and not node[key])}
        return {key: _without(node[key], inner[key]) for key in node if key not in silent}
    if isinstance(node, list):
        return [_without(value, path) for value in node]
    return node
