"""Which noise an image of the batch is paired with: minibatch optimal transport.

Independent noise makes paths cross, and a velocity at a crossing is a mean of several, so that trajectories bend. Noise that is near its
image makes them cross less (Tong et al. 2023, "Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport",
section 3.2; Pooladian et al. 2023, arXiv 2304.14772). In the limit of large batches it is optimal transport between noise and data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.noise import Noise

__all__ = ["Coupling", "EntropicTransport", "ExactTransport"]


class Coupling(ABC):
    """(x_0, eps, noise) -> the eps of each image, all of which are among those given.

    It is a function of the batch as a set: in another order, each image gets the same noise.
    """

    @abstractmethod
    def __call__(
        self, x_0: Float[Tensor, "b c *size"], eps: Float[Tensor, "b c *size"], noise: Noise
    ) -> Float[Tensor, "b c *size"]:
        """The noise that each image is paired with.

        Args:
            x_0: The images of a whole step.
            eps: As many independent noises.
            noise: What is drawn besides comes from here.
        """


class ExactTransport(Coupling):
    """The assignment of noises to images at the least sum of squared distances (Tong et al. 2023, section 3.2).

    It is found on the host by scipy, for which a GPU is waited for: about a millisecond for 128 images, and a second for 2,000.
    """

    def __call__(
        self, x_0: Float[Tensor, "b c *size"], eps: Float[Tensor, "b c *size"], noise: Noise
    ) -> Float[Tensor, "b c *size"]:
        from scipy.optimize import (
            linear_sum_assignment,  # a tenth of a second of import, of which every command would pay
        )

        _, assigned = linear_sum_assignment(squared_distances(x_0, eps).cpu().numpy())
        return eps[torch.from_numpy(assigned).to(eps.device)]


class EntropicTransport(Coupling):
    """Each image draws its noise from the plan pi that minimises sum pi_ij d_ij^2 + strength KL(pi | uniform), by Sinkhorn's iterations.

    Tong et al. 2023, section 3.2 (the Schroedinger bridge); Cuturi 2013, "Sinkhorn Distances". All on the images' device. A noise may go to
    several images, and another to none.

    Args:
        strength: Of the entropy, as a share of the mean squared distance; near 0 is the exact assignment, large is independent noise.
        iterations: Of Sinkhorn's; the smaller the strength, the more are needed.
    """

    def __init__(self, strength: float = 0.05, iterations: int = 100):
        if strength <= 0 or iterations < 1:
            raise ValueError(f"strength = {strength} must be positive, and iterations = {iterations} at least 1")
        self.strength = strength
        self.iterations = iterations

    def __call__(
        self, x_0: Float[Tensor, "b c *size"], eps: Float[Tensor, "b c *size"], noise: Noise
    ) -> Float[Tensor, "b c *size"]:
        plan = self.plan(x_0, eps)
        upper = plan.cumsum(1) / plan.sum(1, keepdim=True)
        drawn = torch.searchsorted(upper, noise.uniform("coupling").to(upper)[:, None]).squeeze(1)
        return eps[drawn.clamp(max=len(eps) - 1)]

    def plan(self, x_0: Float[Tensor, "b c *size"], eps: Float[Tensor, "b c *size"]) -> Float64[Tensor, "b b"]:
        """How much of each image goes to each noise; rows sum to 1 / B, and columns do after enough iterations."""
        cost = squared_distances(x_0, eps)
        log_kernel = -cost / (self.strength * cost.mean())
        log_share = -math.log(len(cost))
        of_image, of_noise = torch.zeros_like(cost[:, :1]), torch.zeros_like(cost[:1])
        for _ in range(self.iterations):
            of_noise = log_share - torch.logsumexp(log_kernel + of_image, 0, keepdim=True)
            of_image = log_share - torch.logsumexp(log_kernel + of_noise, 1, keepdim=True)
        return torch.exp(log_kernel + of_image + of_noise)


def squared_distances(x_0: Float[Tensor, "b c *size"], eps: Float[Tensor, "b c *size"]) -> Float64[Tensor, "b b"]:
    """|x_0 of image i - eps of image j|^2."""
    return (
        torch.cdist(x_0.flatten(1).double(), eps.flatten(1).double(), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    )
