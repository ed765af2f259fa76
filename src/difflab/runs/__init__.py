"""Identity of a run, its directory, checkpoints, resume, provenance."""

from difflab.runs.checkpoints import Checkpoints, newest
from difflab.runs.directory import RunDirectory
from difflab.runs.identity import identity
from difflab.runs.metrics_log import MetricsLog, read_metrics
from difflab.runs.provenance import provenance

__all__ = ["Checkpoints", "MetricsLog", "RunDirectory", "identity", "newest", "provenance", "read_metrics"]
