"""A trained model by the name that a user gives it, to be drawn from or asked by a guidance."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from difflab.checkpoints.released import Released, released
from difflab.checkpoints.run_weights import RunWeights, built, load_weights, once, run_weights
from difflab.checkpoints.trained_data import told_parts
from difflab.classifier import NoisyClassifier
from difflab.conditioning import ConditionDropout
from difflab.config.build import build, resolved
from difflab.config.groups import ConfigError
from difflab.denoiser import Denoiser
from difflab.ema import youth
from difflab.networks import weights_sha256
from difflab.noisy_model import DenoisingModel
from difflab.reading.json import fields
from difflab.runs import RunDirectory
from difflab.runs.provenance import changed_code
from difflab.runtime.foreign_code import foreign_code
from difflab.runtime.invocation import command
from difflab.spaces import Pixels, Space
from difflab.training import ClassifierModule, DiffusionModule
from difflab.training.callbacks import EMACallback, ObjectiveCallback

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A denoiser with its weights, and what else its origin says.

    Attributes:
        denoiser: With the weights in it.
        config: The run's configuration, plain; of a released model what its flags say of process and sampler.
        num_classes: Classes that the model is conditioned on; 0 for none.
        told: Names of the parts of the condition that it was told in training.
        dropout: What of the training examples' conditions was dropped.
        track: Which of a run's weights these are.
        file: Where they lie; a directory for those that were put together from several files.
        step: After how many optimizer steps; None where nobody says.
        space: In which the denoiser lives.
    """

    denoiser: DenoisingModel
    config: Mapping[str, Any]
    num_classes: int
    told: tuple[str, ...]
    dropout: ConditionDropout
    track: str
    file: Path
    step: int | None
    space: Space = field(default_factory=Pixels)

    @cached_property
    def weights_sha256(self) -> str:
        return weights_sha256(self.denoiser.state_dict())


def load_model(name: str, track: str | None, flags: str | None, posthoc_std: float | None) -> LoadedModel:
    """The model that `checkpoint=<name>` means.

    Args:
        name: A run, one of its files, or a released model: openai:<path>, dit:<path>.
        track: Which weights of a run; None for its first EMA track.
        flags: Of a released model.
        posthoc_std: Length of an average to reconstruct from a run's snapshots instead.

    Raises:
        ConfigError: The name means no model; the message says what is wrong with it.
    """
    if (model := released(name)) is not None:
        if track is not None or posthoc_std is not None:
            raise ConfigError(f"checkpoint={name} is one set of weights: leave track and ema out")
        return _released(model, flags)
    return _of_run(run_weights(name, track, posthoc_std))


def _of_run(found: RunWeights) -> LoadedModel:
    config = found.config
    _tell_changed_code(found)
    module = built(found)
    if not isinstance(module, DiffusionModule):
        raise ConfigError(
            f"checkpoint={found.file} is a {type(module.model).__name__}, which draws no images: choose a diffusion model, and give this "
            "one to a guidance, as in guidance.classifier.classify.checkpoint"
        )
    load_weights(module.denoiser, found)
    if not isinstance(module.ema, EMACallback):
        raise ConfigError(
            f"checkpoint={found.file}: its configuration has no averages of weights at module.ema. Get it again"
        )
    if not isinstance(module.objective, ObjectiveCallback):
        raise ConfigError(
            f"checkpoint={found.file}: its configuration has no objective at module.objective. Get it again"
        )
    averaging = module.ema.tracks.averagings.get(found.track)
    if averaging is not None and (young := youth(found.track, averaging, found.step)):
        _log.warning("%s: %s", found.file, young)
    data = fields(config, found.file, {"data": dict})["data"]
    classes, dropout = fields(data, found.file, {"num_classes": int})["num_classes"], module.objective.dropout
    told = told_parts(found.file) or names_told(classes, module.denoiser)
    return LoadedModel(
        module.denoiser, config, classes, told, dropout, found.track, found.file, found.step, module.space
    )


def names_told(num_classes: int, denoiser: DenoisingModel) -> tuple[str, ...]:
    """Names of the parts of the condition of a model that is told no more than a class and an image."""
    image = ("image",) if denoiser.network.condition_channels else ()
    return (*(("label",) if num_classes else ()), *image)


def _tell_changed_code(found: RunWeights) -> None:
    """Warns where weights that were trained with the user's code meet another version of that code."""
    runs = (RunDirectory(folder) for folder in (found.file.parent, found.file.parent.parent))
    starts = next((starts for run in runs if (starts := run.starts())), [])
    code = foreign_code(found.config["module"])
    if starts and code.fingerprints() and (changed := changed_code(starts[-1], code)):
        warnings.warn(
            f"{found.file}: the code of {', '.join(changed)} has changed since these weights were trained; they are used with what "
            "it is now",
            stacklevel=2,
        )


def _released(model: Released, flags: str | None) -> LoadedModel:
    from difflab.networks import ClassTable

    model.check(flags)
    network = model.network(flags)
    try:
        config = resolved(dict(model.format.process(model.path, flags, network)))
    except ValueError as error:
        raise ConfigError(f"checkpoint={model.name}: {error}") from error
    parts = {name: build(config[name]) for name in ("schedule", "parameterization", "variance")}
    num_classes = next((part.num_classes for part in network.modules() if isinstance(part, ClassTable)), 0)
    denoiser = Denoiser(network, **parts)
    return LoadedModel(
        denoiser,
        config,
        num_classes,
        names_told(num_classes, denoiser),
        ConditionDropout(),
        track="released",
        file=model.path,
        step=None,
        space=model.format.space(),
    )


def frozen_classifier(checkpoint: str, track: str | None = None, flags: str | None = None) -> NoisyClassifier:
    """The classifier that `checkpoint` names, without gradients.

    Args:
        checkpoint: A run of module=classifier, its .ckpt or .safetensors file, or openai:<path> of one of guided-diffusion's.
        track: EMA track of a run, or online; None for its first track.
        flags: Of one of guided-diffusion's, where the file's name does not tell them.
    """
    try:
        if checkpoint.startswith("openai:"):
            if track is not None:
                raise ConfigError(f"checkpoint={checkpoint} is one set of weights: leave track out")
            classifier = _released_classifier(Path(checkpoint.removeprefix("openai:")), flags)
        else:
            with once(checkpoint):
                classifier = _classifier_of_run(checkpoint, track)
    except ConfigError as error:
        raise ConfigError(f"a frozen classifier: {error}") from error
    return classifier.eval().requires_grad_(False)


def _classifier_of_run(checkpoint: str, track: str | None) -> NoisyClassifier:
    found = run_weights(checkpoint, track, None)
    module = built(found)
    if not isinstance(module, ClassifierModule):
        raise ConfigError(
            f"checkpoint={checkpoint} is a {type(module.model).__name__}, and no classifier of noised images: train one with "
            f"module=classifier, as {command('train +experiment=digits_classifier')} does"
        )
    load_weights(module.classifier, found)
    return module.classifier


def _released_classifier(path: Path, flags: str | None) -> NoisyClassifier:
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
) -> DenoisingModel:
    """The denoiser that `checkpoint` names, as sample.py names one, without gradients.

    Args:
        checkpoint: A run, one of its files, or a released model: openai:<path>, dit:<path>.
        track: EMA track of a run, or online; None for its first track.
        flags: Of a released model.
        posthoc_std: Length of an average to reconstruct from a run's snapshots instead.
    """
    try:
        with once(checkpoint):
            denoiser = load_model(checkpoint, track, flags, posthoc_std).denoiser
    except ConfigError as error:
        raise ConfigError(f"a frozen model: {error}") from error
    return denoiser.eval().requires_grad_(False)
