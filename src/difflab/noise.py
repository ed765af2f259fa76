"""Randomness without state: every number is a function of (seed, purpose, image number, step, element).

Philox-4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011) turns a 64-bit key and a 128-bit
counter into four 32-bit words. The key is a hash of (seed, purpose); the counter holds the image number (64 bits), the step and
the block within the image. So an image gets the same noise in any batch, on any number of processes and on any device,
and there is no generator whose state could be lost: what a resumed run draws is what the uninterrupted run would have drawn.
"""

from __future__ import annotations

import hashlib
import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


@runtime_checkable
class Noise(Protocol):
    """A source of random numbers for one batch: the same call always gives the same numbers."""

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """Standard normal [B, *shape], float64."""
        ...

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        """Uniform on (0, 1), [B, *shape], float64."""
        ...

    def shared(self, divisor: int) -> Noise:
        """The source that images number n, n + 1, ... with equal n // divisor have in common."""
        ...

    @property
    def number(self) -> Tensor:
        """[B] int64, the number of each image."""
        ...


class ImageNoise:
    """The `Noise` of images with the given numbers under one seed.

    seed    any integer
    number  [B] int64, the images' global numbers (training) or seeds (sampling); the numbers come out on its device
    """

    def __init__(self, seed: int, number: Tensor):
        self.seed = seed
        self._number = number

    @property
    def number(self) -> Tensor:
        return self._number

    def shared(self, divisor: int) -> ImageNoise:
        return ImageNoise(self.seed, torch.div(self._number, divisor, rounding_mode="floor"))

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        return self._uniform(purpose, math.prod(shape), step).reshape(-1, *shape)

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        count = math.prod(shape)
        pairs = self._uniform(purpose, count + count % 2, step).reshape(len(self._number), 2, -1)
        # Box and Muller: radius from one uniform, angle from the other
        radius, angle = torch.sqrt(-2 * torch.log(pairs[:, 0])), 2 * math.pi * pairs[:, 1]
        normal = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
        return normal[:, :count].reshape(-1, *shape)

    def _uniform(self, purpose: str, count: int, step: int) -> Tensor:
        words = philox(_key(self.seed, purpose), self._number, step, -(-count // 4))
        return (words[:, :count].double() + 0.5) / 2**32


def _key(seed: int, purpose: str) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox(key: tuple[int, int], number: Tensor, step: int, blocks: int) -> Tensor:
    """Philox-4x32-10 words [B, 4 * blocks] (int64 holding 32 bits) for counters (block, step, number low, number high)."""
    block = torch.arange(blocks, device=number.device).expand(len(number), blocks)
    c0, c1 = block, torch.full_like(block, step & _MASK)
    c2, c3 = (number & _MASK)[:, None].expand_as(block), ((number >> 32) & _MASK)[:, None].expand_as(block)
    k0, k1 = key
    for _ in range(10):
        # int64 products wrap modulo 2^64, which keeps all 64 bits of a product of two 32-bit words
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((p1 >> 32) & _MASK) ^ c1 ^ k0, p1 & _MASK, ((p0 >> 32) & _MASK) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return torch.cat([c0, c1, c2, c3], dim=1)
