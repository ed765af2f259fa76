"""The three sockets (objective, ema, guidance) and the watchers."""

from difflab.callbacks.ema import EMACallback
from difflab.callbacks.evaluation import EvaluationCallback
from difflab.callbacks.guidance import GuidanceCallback
from difflab.callbacks.objective import ObjectiveCallback
from difflab.callbacks.progress import ProgressCallback
from difflab.callbacks.throughput import ThroughputCallback

__all__ = [
    "EMACallback",
    "EvaluationCallback",
    "GuidanceCallback",
    "ObjectiveCallback",
    "ProgressCallback",
    "ThroughputCallback",
]
