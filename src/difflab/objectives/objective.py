"""What an objective is, and the parts of it that learn from the losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from jaxtyping import Float, Float64
from torch import Tensor, nn

from difflab.noise import Noise
from difflab.noisy_model import held
from difflab.objectives.time_samplers import LossAware, TimeSampler
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, Losses

M_contra = TypeVar("M_contra", bound=nn.Module, contravariant=True)
"""What is trained: a `Denoiser`, a `NoisyClassifier`, an autoencoder."""


class Objective(ABC, Generic[M_contra]):
    """(model, x_0, cond, noise) -> Losses. Everything that is random about training happens in here, drawn from `noise`.

    What an objective holds is found where it holds it, however deep:

    - A `torch.nn.Module` that has weights to be trained, or buffers and no weights, belongs to the model: it is trained, averaged, saved.
    - An `Average` is the model with the weights of one of its averages, by name.
    - A `LossAware` part, such as a time sampler, is told of the losses of each optimizer step, and its state is in the checkpoint.

    Attributes:
        models: Name of an argument -> the frozen network that it is, a teacher: moved to the model's device, part of the run's identity by
            its weights, and neither trained nor averaged nor saved.
        couples_images: Whether the loss of an image depends on the others that it is called with, as in minibatch optimal transport or
            contrastive losses. Such an objective has to see the whole batch of a step, and is refused where that is divided.
    """

    models: Mapping[str, nn.Module] = MappingProxyType({})
    couples_images: bool = False

    @abstractmethod
    def __call__(self, model: M_contra, /, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        """The losses of images.

        Args:
            model: What is trained.
            x_0: The images, in [-1, 1].
            cond: What goes with them.
            noise: The source of all that is drawn.
        """

    @abstractmethod
    def check(self, model: M_contra, /) -> None:
        """Checks that a model can be trained with this objective.

        Raises:
            ValueError: It cannot; the message tells what to change.
        """


class SquaredError(ABC):
    """What an objective is besides, whose loss is a weighted |x_0 - x_0^|^2, mean over pixels: it says how much each time counts.

    Attributes:
        time_sampler: How t is drawn.
    """

    time_sampler: TimeSampler

    @abstractmethod
    def x0_weight(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        """The weight of |x_0 - x_0^|^2 at times t, [B]; not a number at a time at which the loss is no such square.

        Args:
            schedule: The model's.
            t: Times, [B].
            c_out: Of the parameterization at these times: an error of x_0 is c_out times one of F.
        """


def loss_aware_parts(objective: Objective) -> dict[str, LossAware]:
    """Path -> part of an objective that is told of the losses; "" for the objective itself. The time sampler keeps its name."""
    own = vars(objective)
    first = {name: own[name] for name in ("time_sampler",) if name in own}
    itself = {"": objective} if isinstance(objective, LossAware) else {}
    return {**itself, **dict(held({**first, **own}, LossAware))}


def own_modules(objective: Objective) -> dict[str, nn.Module]:
    """Path -> module of an objective that belongs to the model which it trains; "" for the objective itself."""
    frozen = list(objective.models.values())
    return {
        path: part
        for path, part in held(objective, nn.Module)
        if not any(part is model for model in frozen)
        and (any(p.requires_grad for p in part.parameters()) or not any(True for _ in part.parameters()))
        and part.state_dict()
    }
