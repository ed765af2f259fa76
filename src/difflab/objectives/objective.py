"""What an objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.noisy_model import NoisyModel
from difflab.objectives.time_samplers import TimeSampler
from difflab.types import Condition, Losses

M_contra = TypeVar("M_contra", bound=NoisyModel, contravariant=True)
"""What is trained: a `Denoiser`, a `NoisyClassifier`."""


class Objective(ABC, Generic[M_contra]):
    """(model, x_0, cond, noise) -> Losses. Everything that is random about training happens in here, drawn from `noise`.

    Attributes:
        time_sampler: Draws the times; a loss-aware one is told of the losses by whoever runs the optimizer.
        couples_images: Whether the loss of an image depends on the others that it is called with, as in minibatch optimal transport or
            contrastive losses. Such an objective has to see the whole batch of a step, and is refused where that is divided.
    """

    time_sampler: TimeSampler
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
