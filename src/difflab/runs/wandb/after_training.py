"""Results that are made after training, shown in the W&B run of the training: what W&B shows of them, and who sends it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.reading import read_yaml
from difflab.runs.directory import RunDirectory
from difflab.runs.listing import run_id
from difflab.runs.loggers import what
from difflab.runs.provenance import without_diffs

if TYPE_CHECKING:
    from difflab.runs.wandb.mirror import Mirror


@dataclass(frozen=True)
class Table:
    """A table of W&B.

    Attributes:
        columns: Their names.
        rows: Of plain values; a path is a picture.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Content:
    """What is shown of results.

    Attributes:
        numbers: For the summary.
        tables: By name.
        pictures: Name -> file and caption.
        pages: Name -> HTML file.
    """

    numbers: Mapping[str, float | str | None] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    pictures: Mapping[str, tuple[Path, str]] = field(default_factory=dict)
    pages: Mapping[str, Path] = field(default_factory=dict)


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
