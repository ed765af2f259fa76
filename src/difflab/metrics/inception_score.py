"""Inception Score (Salimans et al. 2016, section 4), streamed.

    IS = exp(E_x KL(p(y|x) || p(y))) = exp(mean_x sum_y p log p - sum_y q log q),    q = mean_x p(y|x)

The N images are cut into S contiguous splits; reported are mean and population standard deviation over the splits (numpy's, as
torch-fidelity; torchmetrics divides by S - 1). Image i belongs to split ((i + 1) S - 1) // N, torch-fidelity's boundaries
i N // S, so the number of processes and the batch size have no influence. Kept are S (K + 2) numbers in float64.

Neighbouring images should not be of one class: number a class-balanced set so that classes alternate.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.collective import sum_over_processes


class Score(NamedTuple):
    mean: float
    std: float


class InceptionScore:
    """Sums over logits [B, K] of images that know their index in 0 .. N - 1.

    p [S, K] sum of p(y|x)       p_log_p [S] sum of sum_y p log p       count [S]
    """

    def __init__(self, num_images: int, num_classes: int, splits: int = 10, device: torch.device | str = "cpu"):
        if not 1 <= splits <= num_images:
            raise ValueError(f"{num_images} images cannot be cut into {splits} splits: use more images or fewer splits")
        self.num_images, self.splits = num_images, splits
        self.p = torch.zeros(splits, num_classes, dtype=torch.float64, device=device)
        self.p_log_p = torch.zeros(splits, dtype=torch.float64, device=device)
        self.count = torch.zeros(splits, dtype=torch.float64, device=device)

    def update(self, logits: Float[Tensor, "b k"], index: Int[Tensor, " b"]) -> None:
        log_p = logits.to(self.p).log_softmax(dim=1)
        split = ((index.to(self.p.device) + 1) * self.splits - 1) // self.num_images
        self.p.index_add_(0, split, log_p.exp())
        self.p_log_p.index_add_(0, split, (log_p.exp() * log_p).sum(dim=1))
        self.count.index_add_(0, split, torch.ones_like(log_p[:, 0]))

    def all_reduced(self) -> InceptionScore:
        """The sums over all processes, in one collective call; this one stays as it is."""
        summed = InceptionScore(self.num_images, self.p.shape[1], self.splits, self.p.device)
        summed.p, summed.p_log_p, summed.count = sum_over_processes([self.p, self.p_log_p, self.count])
        return summed

    def compute(self) -> Score:
        if (self.count == 0).any():
            raise ValueError(f"split {int((self.count == 0).nonzero()[0])} of {self.splits} has no image")
        q = self.p / self.count[:, None]
        scores = torch.exp(self.p_log_p / self.count - torch.special.xlogy(q, q).sum(dim=1))
        return Score(scores.mean().item(), scores.std(correction=0).item())
