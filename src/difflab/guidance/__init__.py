"""Guidances: a denoiser made from a denoiser, DenoiseFn -> DenoiseFn."""

from difflab.guidance.adaptive_projected import AdaptiveProjected
from difflab.guidance.autoguidance import Autoguidance
from difflab.guidance.classifier import ClassifierGuidance
from difflab.guidance.classifier_free import ClassifierFree, ClassifierFreeOverTime, RescaledClassifierFree
from difflab.guidance.clip import Clip, DynamicThreshold
from difflab.guidance.guidance import Guidance, chained
from difflab.guidance.last_estimate import LastEstimate
from difflab.guidance.mean_shift import MeanShift, MeanShiftAtImage, MeanShiftAtMean
from difflab.guidance.perturbed_attention import PerturbedAttention
from difflab.guidance.score_at_prediction import ScoreAtPrediction
from difflab.guidance.score_through_denoiser import ScoreThroughDenoiser

__all__ = [
    "AdaptiveProjected",
    "Autoguidance",
    "ClassifierFree",
    "ClassifierFreeOverTime",
    "ClassifierGuidance",
    "Clip",
    "DynamicThreshold",
    "Guidance",
    "LastEstimate",
    "MeanShift",
    "MeanShiftAtImage",
    "MeanShiftAtMean",
    "PerturbedAttention",
    "RescaledClassifierFree",
    "ScoreAtPrediction",
    "ScoreThroughDenoiser",
    "chained",
]
