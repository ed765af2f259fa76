"""What a classifier says of the class that an image is to have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.types import ClassifyFn, Condition


def class_log_probability(
    classify: ClassifyFn, x: Float[Tensor, "b c h w"], t: Float64[Tensor, " b"], cond: Condition
) -> Float[Tensor, " b"]:
    """log p(y | x) at time t, y being the label of each image; 0 for an image whose class was dropped."""
    label = cond.label
    if label is None:
        raise ValueError("guidance by a classifier needs to know the class of every image: Condition(label=...)")
    logits = F.log_softmax(classify(x, t).to(x.dtype), dim=1)
    chosen = logits.gather(1, label.clamp(min=0)[:, None])[:, 0]
    return torch.where(label < 0, 0, chosen)
