"""The seat of adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn


class Adapter(ABC):
    """Adds weights to a model.

    Those that it had stay as they are, in memory and in checkpoints. What other programs and commands are given is a model without it,
    whose weights are the merged ones.

    Attributes:
        trainable: Patterns of the names of the weights that it adds.
    """

    trainable: Sequence[str]

    @abstractmethod
    def put_into(self, model: nn.Module, seed: int) -> None:
        """Changes layers of a model in place; the model computes what it did before.

        Args:
            model: With its weights in it.
            seed: Of the weights that are added.

        Raises:
            ValueError: The model has no such layers.
        """

    @abstractmethod
    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the model without the adapter that computes the same. Weights without additions are given back as they are.

        Args:
            weights: By the names that the model with the adapter gives them.
        """
