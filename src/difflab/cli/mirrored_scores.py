"""The scores of evaluate.py in the W&B run of the run that they measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from difflab.cli.measuring import Measured
from difflab.cli.subjects import DrawnImages
from difflab.cli.trainer_arguments import known_to_loggers
from difflab.reading import read_yaml
from difflab.runs import RunDirectory
from difflab.runs.mirror import weights_and_biases
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
    config = read_yaml(run.config)
    params = _hyperparameters(config, run)
    known = known_to_loggers(measured.subject.plan.source.config, run)
    track, count = measured.subject.plan.source.track, measured.subject.count
    scores = {f"evaluate/{track}/{one.metric}@{count}": float(one.value) for one in measured.results.measurements}
    for node in config.get("logger", {}).values():  # whatever else it names is not built: the file may be anybody's
        if str(node.get("_target_")).rpartition(".")[2] == weights_and_biases.__name__:
            mirror = weights_and_biases(node["project"], node.get("entity"), node["mode"], **known)
            mirror.summarise(params, scores)


def _hyperparameters(config: dict[str, Any], run: RunDirectory) -> dict[str, Any]:
    """What train.py told the loggers at the last start."""

    def read(path: Path) -> Any:
        return json.loads(path.read_text(encoding="utf-8"))

    start = run.starts()[-1]
    told = without_diffs({"foreign_packages": {}} | start)
    return config | {"protocol": read(run.protocol), "provenance": told}
