"""The one number of a run, which a search (hydra/sweeper=optuna) makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from difflab.metrics import FeatureExtractor
    from difflab.runs import RunDirectory


def score(config: DictConfig, extractor: FeatureExtractor, run: RunDirectory) -> float | None:
    """The distance of the first track's samples at the last evaluation, by which best.ckpt is chosen, too."""
    from difflab.metrics.evaluator import at_count

    track = next(iter(config.eval.tracks), "online")
    return run.last_scores().get(f"eval/{track}/{at_count(extractor.identity.distance, config.eval.num_samples)}")
