"""Image -> how good it is, for guidance by gradients."""

from difflab.guidance.scores.channel_means import ChannelMeans
from difflab.guidance.scores.score import Score
from difflab.guidance.scores.similarity import Similarity

__all__ = ["ChannelMeans", "Score", "Similarity"]
