"""The mirror of a run in MLflow."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import MLFlowLogger
from pytorch_lightning.utilities import rank_zero_only

from difflab.files import make_folder, write_text

_FOREIGN = re.compile(r"[^\w/. -]")
"""Letters that MLflow takes in no name."""

TOLD_ANEW = frozenset({"protocol", "provenance"})
"""What differs from start to start, where MLflow keeps the first value of a parameter for good."""

IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""How long a server that does not answer is waited for, unless the user says otherwise: MLflow's own patience is many minutes."""


class MlflowRun(MLFlowLogger):
    """Lightning's MLflow logger, which goes on with the MLflow run that an earlier start of the same run has begun.

    Args:
        experiment_name: Of MLflow.
        tracking_uri: Where it is kept; None for $MLFLOW_TRACKING_URI, else a database in `save_dir`.
        save_dir: A folder of the run, which holds the id of the MLflow run.
        name: What the MLflow run is called.
        group: The run's name, as a tag.
        identity: Of the run, as a tag.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """

    def __init__(
        self, experiment_name: str, tracking_uri: str | None, save_dir: str, name: str, group: str, identity: str
    ):
        if importlib.util.find_spec("mlflow") is None:
            raise ModuleNotFoundError("MLflow is not installed: pip install mlflow")
        self._kept = Path(save_dir) / "run_id"
        self._begun = self._kept.exists()
        for variable, value in IMPATIENT.items():
            os.environ.setdefault(variable, value)
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            make_folder(Path(save_dir))
            uri = f"sqlite:///{Path(save_dir).absolute() / 'mlflow.db'}"
        super().__init__(
            experiment_name,
            run_name=name,
            tracking_uri=uri,
            tags={"run": group, "identity": identity},
            artifact_location=(Path(save_dir).absolute() / "artifacts").as_uri() if uri.startswith("sqlite") else None,
            run_id=self._kept.read_text(encoding="utf-8").strip() if self._begun else None,
        )

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begins the MLflow run, or goes on with it."""
        begun = self.run_id
        if not self._begun:
            write_text(self._kept, f"{begun}\n")
            super().log_hyperparams(_named({key: value for key, value in params.items() if key not in TOLD_ANEW}))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Under names that MLflow takes: fd@1k is fd_at_1k."""
        super().log_metrics({_name(name): value for name, value in metrics.items()}, step)


def _named(node: Any) -> Any:
    return {_name(key): _named(value) for key, value in node.items()} if isinstance(node, Mapping) else node


def _name(name: Any) -> str:
    return _FOREIGN.sub("_", str(name).replace("@", "_at_"))
