"""The class as a learned vector that is added to the time embedding (arXiv 2102.09672; arXiv 2105.05233)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.types import NULL_LABEL, Condition


def _check_classes(num_classes: int) -> None:
    if num_classes < 1:
        raise ValueError(
            f"a label embedding needs at least one class, got num_classes={num_classes}; "
            "for data without labels leave the embedder out: embedder=[]"
        )


class LabelEmbedding(nn.Module):
    """One vector per class; every example must have a class.

    A condition without labels is refused. A dropped label (`NULL_LABEL`) or one that is no class is refused with a reason
    where the labels are in main memory; on an accelerator, reading them would stall it, and the lookup's own assertion fails.

    num_classes  labels are 0 .. num_classes - 1
    dim          of the embedding
    """

    def __init__(self, num_classes: int, dim: int):
        super().__init__()
        _check_classes(num_classes)
        self.num_classes = num_classes
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)

    def forward(self, cond: Condition) -> Float[Tensor, "b e"]:
        if cond.label is None:
            raise ValueError(
                "the network was built for class labels, but the condition has none; "
                "give labels, or build it with NullableLabelEmbedding"
            )
        if cond.label.device.type == "cpu" and ((cond.label < 0) | (cond.label >= self.num_classes)).any():
            raise ValueError(
                f"labels must be 0 .. {self.num_classes - 1}, got {cond.label.tolist()}; {NULL_LABEL} is a dropped label, "
                "for which only NullableLabelEmbedding has a vector"
            )
        return F.embedding(cond.label, self.weight)


class NullableLabelEmbedding(nn.Module):
    """One vector per class and a learned null vector for examples whose class was dropped, as classifier-free guidance
    needs it (arXiv 2207.12598). A condition without labels is all null: the result is then [1, dim], to be broadcast.

    num_classes  labels are 0 .. num_classes - 1, or `NULL_LABEL`
    dim          of the embedding
    """

    def __init__(self, num_classes: int, dim: int):
        super().__init__()
        _check_classes(num_classes)
        self.num_classes = num_classes
        self.weight = nn.Parameter(torch.empty(num_classes + 1, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)

    def forward(self, cond: Condition) -> Float[Tensor, "b e"]:
        if cond.label is None:
            return self.weight[-1:]
        # the last row; other numbers that are no class stay wrong and fail in the lookup
        return F.embedding(torch.where(cond.label == NULL_LABEL, self.num_classes, cond.label), self.weight)
