"""A trained model that is asked, but neither trained nor saved: the weak model of autoguidance."""

from __future__ import annotations

from difflab.cli.check import ConfigError
from difflab.cli.model_source import load_model
from difflab.cli.run_weights import once
from difflab.denoiser import Denoiser


def frozen_denoiser(
    checkpoint: str, track: str | None = None, flags: str | None = None, posthoc_std: float | None = None
) -> Denoiser:
    """The denoiser that `checkpoint` names, as sample.py names one, without gradients.

    track         EMA track of a run, or online; None for its first track
    flags         of a released model
    posthoc_std   length of an average to reconstruct from a run's snapshots instead
    """
    try:
        with once(checkpoint):
            denoiser = load_model(checkpoint, track, flags, posthoc_std).denoiser
    except ConfigError as error:
        raise ConfigError(f"a guidance's own model: {error}") from error
    return denoiser.eval().requires_grad_(False)
