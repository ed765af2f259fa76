"""Trained models that are asked, but neither trained nor saved: a classifier that guides, the weak model of autoguidance."""

from __future__ import annotations

from pathlib import Path

from difflab.checkpoints.load import load_model
from difflab.checkpoints.run_weights import built, load_weights, once, run_weights
from difflab.classifier import NoisyClassifier
from difflab.config.keys import ConfigError
from difflab.denoiser import Denoiser
from difflab.runtime.invocation import command
from difflab.training import ClassifierModule


def frozen_classifier(checkpoint: str, track: str | None = None, flags: str | None = None) -> NoisyClassifier:
    """The classifier that `checkpoint` names, without gradients: a run of module=classifier, its .ckpt or .safetensors file, or
    openai:<path> of one of guided-diffusion's.

    track   EMA track of a run, or online; None for its first track
    flags   of one of guided-diffusion's, where the file's name does not tell them
    """
    try:
        if checkpoint.startswith("openai:"):
            if track is not None:
                raise ConfigError(f"checkpoint={checkpoint} is one set of weights: leave track out")
            classifier = _released(Path(checkpoint.removeprefix("openai:")), flags)
        else:
            with once(checkpoint):
                classifier = _of_run(checkpoint, track)
    except ConfigError as error:
        raise ConfigError(f"a guidance's classifier: {error}") from error
    return classifier.eval().requires_grad_(False)


def _of_run(checkpoint: str, track: str | None) -> NoisyClassifier:
    found = run_weights(checkpoint, track, None)
    module = built(found)
    if not isinstance(module, ClassifierModule):
        raise ConfigError(
            f"checkpoint={checkpoint} is a {type(module.model).__name__}, and no classifier of noised images: train one with "
            f"module=classifier, as {command('train +experiment=digits_classifier')} does"
        )
    load_weights(module.classifier, found)
    return module.classifier


def _released(path: Path, flags: str | None) -> NoisyClassifier:
    from difflab import schedules
    from difflab.checkpoints import openai
    from difflab.networks import Encoder
    from difflab.parameterizations import Epsilon

    if not path.is_file():
        raise ConfigError(f"checkpoint=openai:{path}: there is no such file")
    try:
        given = flags or openai.flags_for(path)
        network = openai.load(path, given).network
    except ValueError as error:
        raise ConfigError(f"checkpoint=openai:{path}: {error}") from error
    if not isinstance(network, Encoder):
        raise ConfigError(f"checkpoint=openai:{path}: a {type(network).__name__} draws images and classifies none")
    process = openai.diffusion(given)
    schedule = {"linear": schedules.linear, "cosine": schedules.cosine}[process.noise_schedule](process.diffusion_steps)
    return NoisyClassifier(network, schedule, Epsilon())


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
