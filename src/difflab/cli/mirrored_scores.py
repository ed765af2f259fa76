"""The scores of evaluate.py in the W&B run of the run that they measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from difflab.cli.measuring import Measured
from difflab.cli.subjects import DrawnImages
from difflab.cli.trainer_arguments import known_to_loggers, made_logger
from difflab.runs import RunDirectory
from difflab.runs.mirror import Mirror
from difflab.runs.provenance import without_diffs


def mirror_scores(measured: Measured) -> None:
    """Adds evaluate/<track>/<metric>@<samples> to the summary of a run that is mirrored in W&B, and does nothing for other images.

    Settings that such a name does not tell apart have one place in the summary, that of the last evaluation; results.json has all.
    """
    if not isinstance(measured.subject, DrawnImages) or measured.subject.plan.before is not None:
        return
    run = RunDirectory(measured.subject.plan.source.file.parent.parent)
    if not (run.path / "wandb").is_dir() or not run.config.exists():
        return
    config: Any = OmegaConf.load(run.config)
    params = _hyperparameters(config, run)
    track, count = measured.subject.plan.source.track, measured.subject.count
    scores = {f"evaluate/{track}/{one.metric}@{count}": float(one.value) for one in measured.results.measurements}
    for node in config.logger.values():
        logger = made_logger(node, known_to_loggers(config, run))
        if isinstance(logger, Mirror):
            logger.summarise(params, scores)


def _hyperparameters(config: DictConfig, run: RunDirectory) -> dict[str, Any]:
    """What train.py told the loggers at the last start."""

    def read(path: Path) -> Any:
        return json.loads(path.read_text(encoding="utf-8"))

    plain: Any = OmegaConf.to_container(config, resolve=True)
    start = run.starts()[-1]
    told = without_diffs({"foreign_packages": {}} | start)
    return plain | {"protocol": read(run.protocol), "provenance": told}
