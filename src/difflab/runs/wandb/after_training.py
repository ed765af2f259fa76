"""The W&B run of a run directory, after its training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from difflab.reading import read_yaml
from difflab.runs.directory import RunDirectory
from difflab.runs.loggers import what
from difflab.runs.names import run_id
from difflab.runs.provenance import without_diffs

if TYPE_CHECKING:
    from difflab.runs.wandb.mirror import Mirror

_log = logging.getLogger(__name__)

MIRROR = "weights_and_biases"
"""The last word of the `_target_` of a mirror."""


def mirror_nodes(loggers: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes of mirrors in W&B among those of loggers, plain. Of other loggers nothing is built: the file may be anybody's."""
    for node in loggers.values():
        if isinstance(node, Mapping) and str(node.get("_target_")).rpartition(".")[2] == MIRROR:
            yield node


def catch_up(loggers: Mapping[str, Any], run: RunDirectory) -> None:
    """Sends what W&B lacks of a complete run: what its starts could not send, and its weights where the command asks for that.

    Args:
        loggers: Name -> node of a logger, as the command has them.
        run: The run's directory.
    """
    for node in mirror_nodes(loggers):
        if node.get("log_model") or (run.path / "wandb" / "behind").exists():
            tell(run, node, lambda mirror, params: mirror.catch_up(params))


def tell(run: RunDirectory, node: Mapping[str, Any], what_to: Callable[[Mirror, Mapping[str, Any]], None]) -> None:
    """Tells a run's mirror something; what goes wrong is a warning.

    Args:
        run: Begun earlier.
        node: Of the mirror.
        what_to: Is given the mirror and what train.py told the loggers at the last start.
    """
    try:
        from difflab.runs.wandb.mirror import weights_and_biases

        start = without_diffs({"foreign_packages": {}} | run.starts()[-1])
        params = read_yaml(run.config) | {"protocol": run.protocols(), "provenance": start}
        mirror = weights_and_biases(
            node["project"],
            node.get("entity"),
            node["mode"],
            run=run,
            identity=run_id(run.path),
            group=node.get("group"),
            job_type=node.get("job_type", "train"),
            log_model=node.get("log_model", False),
        )
        what_to(mirror, params)
    except Exception as error:
        _log.warning("W&B gets nothing of %s: %s", run.path, what(error))
