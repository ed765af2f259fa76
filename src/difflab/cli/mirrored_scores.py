"""The scores of evaluate.py in the W&B run of the run that they measure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from difflab.cli.measuring import Measured
from difflab.cli.subjects import DrawnImages
from difflab.cli.trainer_arguments import known_to_loggers
from difflab.reading import read_yaml
from difflab.runs import RunDirectory
from difflab.runs.guarded import what
from difflab.runs.provenance import without_diffs

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from difflab.runs.mirror import Mirror

_log = logging.getLogger(__name__)


def mirror_scores(measured: Measured) -> None:
    """Adds evaluate/<track>/<metric>@<samples> to the summary of a run that is mirrored in W&B, and does nothing for other images.

    Settings that such a name does not tell apart have one place in the summary, that of the last evaluation; results.json has all.
    """
    if not isinstance(measured.subject, DrawnImages) or measured.subject.plan.before is not None:
        return
    run = RunDirectory(measured.subject.plan.source.file.parent.parent)
    if not (run.path / "wandb").is_dir() or not run.config.exists():
        return
    track, count = measured.subject.plan.source.track, measured.subject.count
    scores = {f"evaluate/{track}/{one.metric}@{count}": float(one.value) for one in measured.results.measurements}
    known = known_to_loggers(measured.subject.plan.source.config, run)
    _told(run, known, lambda mirror, params: mirror.summarise(params, scores))


def catch_up(config: DictConfig, run: RunDirectory) -> None:
    """Sends what earlier starts of a run could not send to W&B.

    Args:
        config: Of the run.
        run: Its directory.
    """
    _told(run, known_to_loggers(config, run), lambda mirror, params: mirror.catch_up(params))


def _told(run: RunDirectory, known: dict[str, Any], tell: Callable[[Mirror, Mapping[str, Any]], None]) -> None:
    """Has the run's mirror told something; what goes wrong is a warning.

    Args:
        run: Begun earlier.
        known: What `known_to_loggers` says of it.
        tell: Is given the mirror and what train.py told the loggers at the last start.
    """
    try:
        from difflab.runs.mirror import weights_and_biases  # wandb may be missing

        config = read_yaml(run.config)
        start = without_diffs({"foreign_packages": {}} | run.starts()[-1])
        params = config | {"protocol": run.protocols(), "provenance": start}
        for node in config.get("logger", {}).values():  # whatever else it names is not built: the file may be anybody's
            if str(node.get("_target_")).rpartition(".")[2] == weights_and_biases.__name__:
                tell(weights_and_biases(node["project"], node.get("entity"), node["mode"], **known), params)
    except Exception as error:
        _log.warning("W&B gets nothing of %s: %s", run.path, what(error))
