"""The three sockets (objective, ema, guidance) and the watchers."""

from difflab.callbacks.classification import ClassificationEvaluation
from difflab.callbacks.divergence import Diverged, DivergenceCallback, GoBack, SkipStep, Stop, WentBack
from difflab.callbacks.ema import EMACallback
from difflab.callbacks.evaluation import EvaluationCallback
from difflab.callbacks.guidance import GuidanceCallback
from difflab.callbacks.objective import ObjectiveCallback
from difflab.callbacks.progress import ProgressCallback
from difflab.callbacks.scores import ScoresCallback
from difflab.callbacks.throughput import ThroughputCallback
from difflab.callbacks.track_evaluation import NoEvaluation, TrackEvaluation

__all__ = [
    "ClassificationEvaluation",
    "Diverged",
    "DivergenceCallback",
    "EMACallback",
    "EvaluationCallback",
    "GoBack",
    "GuidanceCallback",
    "NoEvaluation",
    "ObjectiveCallback",
    "ProgressCallback",
    "ScoresCallback",
    "SkipStep",
    "Stop",
    "ThroughputCallback",
    "TrackEvaluation",
    "WentBack",
]
