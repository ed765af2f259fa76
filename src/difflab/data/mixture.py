"""A mixture of Gaussians in closed form, and images of it.

A mixture of Gaussians: the data distribution for which everything that a diffusion model learns is known.

x_0 ~ sum_k pi_k N(mu_k, s^2 I). With x_t = alpha x_0 + sigma eps, component k of x_t is N(alpha mu_k, v I), v = alpha^2 s^2 + sigma^2:

    log p(x_t)    = logsumexp_k( log pi_k - |x_t - alpha mu_k|^2 / 2v ) - D/2 log(2 pi v)
    w_k           = softmax_k( log pi_k - |x_t - alpha mu_k|^2 / 2v )                   responsibility of component k
    E[x_0 | x_t]  = sum_k w_k ( mu_k + alpha s^2/v (x_t - alpha mu_k) )
    score         = sum_k w_k (alpha mu_k - x_t) / v
    mean          = sum_k pi_k mu_k
    covariance    = s^2 I + sum_k pi_k (mu_k - mean)(mu_k - mean)^T
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError
from difflab.noise import ImageNoise, Noise
from difflab.types import AlphaSigma, Condition, DenoiseFn, Label, Prediction, size_of


class Moments(NamedTuple):
    """Mean [D] and covariance [D, D] of flattened images."""

    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]


class GaussianMixture:
    """sum_k pi_k N(mu_k, s^2 I) over images or points; everything in float64.

    A class label is the number of a component: given labels [B], x_0 is drawn from that component alone; a negative label (the null class)
    stands for the whole mixture.

    Args:
        means: [K, C, *size], a tensor or nested lists: [K, C, H, W] of images, [K, C] of points.
        weights: [K], positive; scaled to sum to one.
        std: s, the standard deviation of every component.
    """

    def __init__(self, means: Tensor | Sequence[Any], weights: Tensor | Sequence[float], std: float):
        self.means = torch.as_tensor(means, dtype=torch.float64)
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        self.std = std
        if self.means.ndim < 2 or self.weights.shape != self.means.shape[:1]:
            raise DataError(
                f"Expected means [K, C, ...] and weights [K], found {[*self.means.shape]} and {[*self.weights.shape]}."
            )
        if not (self.weights > 0).all() or not std > 0:
            raise DataError(f"Weights and std of a mixture must be positive, found {self.weights.tolist()} and {std}.")
        self.weights = self.weights / self.weights.sum()

    @classmethod
    def random(cls, components: int, shape: Sequence[int], spread: float, std: float, seed: int) -> GaussianMixture:
        """Means drawn from N(0, spread^2 I), weights proportional to 1, 2, ..., K."""
        means = spread * ImageNoise(seed, torch.arange(components)).normal("mixture means", tuple(shape))
        return cls(means, torch.arange(1.0, components + 1), std)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of images, (C,) of points."""
        return tuple(self.means.shape[1:])

    def sample_labels(self, noise: Noise) -> Int[Tensor, " b"]:
        """The component of each image, drawn with probability pi."""
        upper = self.weights.cumsum(0)[:-1].to(noise.number.device)
        return torch.bucketize(noise.uniform("component"), upper)

    def sample(self, noise: Noise, labels: Int[Tensor, " b"]) -> Float64[Tensor, "b c *size"]:
        """Images of the given components."""
        return self.means.to(labels.device)[labels] + self.std * noise.normal("pixels", self.shape)

    def denoise(
        self, x_t: Tensor, alpha: Float64[Tensor, " b"], sigma: Float64[Tensor, " b"], labels: Tensor | None = None
    ) -> Float64[Tensor, "b c *size"]:
        """E[x_0 | x_t]."""
        alpha, sigma = _columns(alpha), _columns(sigma)
        x_t, means = x_t.double().flatten(1), self._means(x_t)
        gain = alpha * self.std**2 / self._variance(alpha, sigma)
        weights = self._log_joint(x_t, alpha, sigma, labels).softmax(1)
        return (gain * x_t + (1 - gain * alpha) * (weights @ means)).reshape(-1, *self.shape)

    def score(
        self, x_t: Tensor, alpha: Float64[Tensor, " b"], sigma: Float64[Tensor, " b"], labels: Tensor | None = None
    ) -> Float64[Tensor, "b c *size"]:
        """The gradient of log p(x_t) by x_t."""
        alpha, sigma = _columns(alpha), _columns(sigma)
        x_t, means = x_t.double().flatten(1), self._means(x_t)
        weights = self._log_joint(x_t, alpha, sigma, labels).softmax(1)
        return ((alpha * (weights @ means) - x_t) / self._variance(alpha, sigma)).reshape(-1, *self.shape)

    def log_prob(
        self, x_t: Tensor, alpha: Float64[Tensor, " b"], sigma: Float64[Tensor, " b"], labels: Tensor | None = None
    ) -> Float64[Tensor, " b"]:
        """log p(x_t); of the data themselves for alpha = 1, sigma = 0."""
        alpha, sigma = _columns(alpha), _columns(sigma)
        x_t = x_t.double().flatten(1)
        normaliser = x_t.shape[1] / 2 * torch.log(2 * math.pi * self._variance(alpha, sigma))
        return self._log_joint(x_t, alpha, sigma, labels).logsumexp(1) - normaliser[:, 0]

    def denoiser(self, schedule: Callable[[Tensor], AlphaSigma]) -> DenoiseFn:
        """The optimal denoiser under a noise schedule: what a perfectly trained model would be."""

        def denoise(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            (alpha, sigma), label = schedule(t), Label.of(cond)
            return Prediction(self.denoise(x_t, alpha, sigma, None if label is None else label.number).to(x_t.dtype))

        return denoise

    def moments(self) -> Moments:
        """Mean and covariance of the data."""
        means = self.means.flatten(1)
        mean = self.weights @ means
        between = (means - mean).T @ (self.weights[:, None] * (means - mean))
        return Moments(mean, between + self.std**2 * torch.eye(len(mean), dtype=torch.float64))

    def frechet_distance(self, mean: Float64[Tensor, " d"], covariance: Float64[Tensor, "d d"]) -> float:
        """Squared 2-Wasserstein distance between Gaussians of the mixture's moments and of the given ones.

        |m_1 - m_2|^2 + tr( S_1 + S_2 - 2 (S_1^1/2 S_2 S_1^1/2)^1/2 )      (Dowson and Landau 1982, eq. 4)
        """
        mine = self.moments()
        values, vectors = torch.linalg.eigh(mine.covariance)
        root = vectors * values.clamp(min=0).sqrt() @ vectors.T
        cross = torch.linalg.eigvalsh(root @ covariance.double() @ root).clamp(min=0).sqrt().sum()
        return float((mine.mean - mean).square().sum() + mine.covariance.trace() + covariance.trace() - 2 * cross)

    def _means(self, like: Tensor) -> Float64[Tensor, "k d"]:
        return self.means.flatten(1).to(like.device)

    def _variance(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return alpha**2 * self.std**2 + sigma**2

    def _log_joint(self, x_t: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None) -> Float64[Tensor, "b k"]:
        """log pi_k - |x_t - alpha mu_k|^2 / 2v, and -inf for the components that a label rules out."""
        distance = (x_t[:, None] - alpha[:, :, None] * self._means(x_t)).square().sum(2)
        joint = -distance / (2 * self._variance(alpha, sigma))
        prior = self.weights.log().to(x_t.device).expand_as(joint)
        if labels is not None:
            component = torch.arange(len(self.weights), device=x_t.device)
            known = torch.where(component == labels[:, None], 0.0, -torch.inf).double()
            prior = torch.where(labels[:, None] < 0, prior, known)
        return prior + joint


def _columns(coefficient: Tensor) -> Tensor:
    """[B] -> [B, 1]."""
    return coefficient.double()[:, None]


class MixtureImages(ImageDataset):
    """Image i is a function of (seed, i): nothing is stored, so `length` may be as large as one likes.

    The images are float32 draws, not pixels. The label of an image is the component it came from.
    """

    def __init__(self, mixture: GaussianMixture, length: int, seed: int = 0):
        self.mixture = mixture
        self.seed = seed
        channels, *size = mixture.shape
        if length < 1:
            raise DataError(f"data.dataset.length={length}: a data set needs at least one image.")
        labels = mixture.sample_labels(ImageNoise(seed, torch.arange(length)))
        super().__init__(size_of(size), channels, labels, [f"component {k}" for k in range(len(mixture.weights))])
        self._labels = labels
        self.distribution = mixture

    def __len__(self) -> int:
        return len(self._labels)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        index = torch.as_tensor(indices)
        return self.mixture.sample(ImageNoise(self.seed, index), self._labels[index]).float()

    def hash_content(self) -> str:
        mixture = self.mixture
        content = (mixture.means.tolist(), mixture.weights.tolist(), mixture.std, len(self), self.seed)
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()
