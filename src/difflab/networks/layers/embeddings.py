"""Times, classes and levels of noise -> the vector that a network is conditioned on."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.former_names import Neutral
from difflab.networks.network import zeroed
from difflab.types import NULL_LABEL, Condition, GivenImage, Label

_LONGEST_PERIOD = 10_000


def sinusoids(time: Float[Tensor, " b"], dim: int) -> Float[Tensor, "b dim"]:
    """[cos(time f_0), cos(time f_1), ..., sin(time f_0), ...] with f_k = 10000^(-k / (dim // 2)), float32.

    The frequencies are computed here rather than kept as a buffer: `module.to(torch.bfloat16)` would round a buffer, and a rounded
    frequency times 999 is another time.
    """
    half = dim // 2
    frequency = torch.exp(
        -math.log(_LONGEST_PERIOD) * torch.arange(half, dtype=torch.float32, device=time.device) / half
    )
    angle = time.float()[:, None] * frequency
    return F.pad(torch.cat([angle.cos(), angle.sin()], dim=1), (0, dim % 2))


class TimeEmbedding(nn.Module):
    """Linear(SiLU(Linear(sinusoids(time)))), [B] -> [B, emb_dim].

    Args:
        width: Number of sinusoids.
        emb_dim: Size of the embedding.
        linear: (inputs, outputs) -> a linear layer; it says with what weights it begins.
    """

    def __init__(self, width: int, emb_dim: int, linear: Callable[[int, int], nn.Linear] = nn.Linear):
        super().__init__()
        if width < 1:
            raise ValueError(f"width={width}: a network needs at least one channel")
        self.width = width
        self.hidden = linear(width, emb_dim)
        self.output = linear(emb_dim, emb_dim)

    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b e"]:
        return self.output(F.silu(self.hidden(sinusoids(time, self.width).to(self.hidden.weight.dtype))))


def _check_classes(num_classes: int, std: float) -> None:
    if std <= 0:
        raise ValueError(f"std={std}: the weights of a label embedding begin with a standard deviation above 0")
    if num_classes < 1:
        raise ValueError(
            f"a label embedding needs at least one class, got num_classes={num_classes}; "
            "for data without labels leave the embedder out: embedder=[]"
        )


def _check_labels(label: Label, lowest: int, num_classes: int, hint: str = "") -> None:
    """Refuses a number that is no class, where the labels are in main memory: on an accelerator, reading them would stall it."""
    number = label.number
    if number.device.type != "cpu" or torch.compiler.is_compiling():
        return
    if ((number < lowest) | (number >= num_classes)).any():
        raise ValueError(f"labels must be 0 .. {num_classes - 1}, got {number.tolist()}{hint}")


def _with_classes(weight: Tensor, given: Tensor, classes: int) -> Tensor:
    rows = weight.detach().clone()
    rows[:classes] = given[:classes].to(rows)
    return rows


class LabelEmbedding(nn.Module):
    """One vector per class; every example must have a class.

    A condition without labels is refused. A dropped label (`NULL_LABEL`) or one that is no class is refused with a reason where the labels
    are in main memory; on an accelerator, reading them would stall it, and the lookup's own assertion fails.

    Args:
        num_classes: Labels are 0 .. num_classes - 1.
        dim: Size of the embedding.
        std: Standard deviation of the weights at the beginning; 0.02 in DiT.
    """

    def __init__(self, num_classes: int, dim: int, std: Neutral[float] = 1.0):
        super().__init__()
        _check_classes(num_classes, std)
        self.num_classes, self.std = num_classes, std
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.std)

    def resized(self, given: Float[Tensor, "rows dim"], classes: int | None) -> Float[Tensor, "n dim"]:
        """Its rows, with those of the classes that both have as given."""
        return _with_classes(self.weight, given, min(self.num_classes, len(given) if classes is None else classes))

    def forward(self, cond: Condition) -> Float[Tensor, "b e"]:
        label = Label.of(cond)
        if label is None:
            raise ValueError(
                "the network was built for class labels, but the condition has none; "
                "give labels, or build it with NullableLabelEmbedding"
            )
        _check_labels(
            label,
            0,
            self.num_classes,
            f"; {NULL_LABEL} is a dropped label, for which only NullableLabelEmbedding has a vector",
        )
        return F.embedding(label.number, self.weight)


class NullableLabelEmbedding(nn.Module):
    """One vector per class and a learned null vector for examples whose class was dropped.

    Classifier-free guidance needs it (arXiv 2207.12598). A condition without labels is all null: the result is then [1, dim], to be
    broadcast. A number that is no class is refused as `LabelEmbedding` does.

    Args:
        num_classes: Labels are 0 .. num_classes - 1, or `NULL_LABEL`.
        dim: Size of the embedding.
        std: Standard deviation of the weights at the beginning; 0.02 in DiT.
    """

    def __init__(self, num_classes: int, dim: int, std: Neutral[float] = 1.0):
        super().__init__()
        _check_classes(num_classes, std)
        self.num_classes, self.std = num_classes, std
        self.weight = nn.Parameter(torch.empty(num_classes + 1, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.std)

    def resized(self, given: Float[Tensor, "rows dim"], classes: int | None) -> Float[Tensor, "n dim"]:
        """Its rows, with those of the classes that both have as given, and the null row where there is one."""
        known = len(given) - 1 if classes is None else classes
        rows = _with_classes(self.weight, given, min(self.num_classes, known))
        if len(given) > known:
            rows[-1] = given[-1]
        return rows

    def forward(self, cond: Condition) -> Float[Tensor, "b e"]:
        label = Label.of(cond)
        if label is None:
            return self.weight[-1:]
        _check_labels(label, NULL_LABEL, self.num_classes)
        # null is the last row
        return F.embedding(torch.where(label.number == NULL_LABEL, self.num_classes, label.number), self.weight)


SINUSOIDS = 128


class LevelEmbedding(nn.Module):
    """Linear(SiLU(TimeEmbedding(scale level))), the last layer of which begins at zero: the network begins as one that is not told.

    Args:
        scale: Levels of [0, 1] become as far apart as the times of so many steps.
        dim: Size of the embedding.
    """

    def __init__(self, scale: float, dim: int):
        super().__init__()
        self.scale = scale
        self.embedding = TimeEmbedding(SINUSOIDS, dim)
        self.output = zeroed(nn.Linear(dim, dim))

    def forward(self, cond: Condition) -> Float[Tensor, "b e"]:
        image = GivenImage.of(cond)
        if image is None or image.level is None:
            raise ValueError(
                "the network was built to be told how much noise is on the small image, but the condition does not say: choose an "
                "augmentation of it, such as conditioning/augmentation@conditioning.low_resolution.augmentation=added_noise, or leave "
                "the embedder `level` out"
            )
        return self.output(F.silu(self.embedding(self.scale * image.level)))
