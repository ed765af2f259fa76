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
        """Standard normal numbers.

        Args:
            purpose: What they are for: other purposes get other numbers.
            shape: Of one image's numbers.
            step: Of several draws for one purpose.

        Returns:
            [B, *shape], float64.
        """
        ...

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        """Uniform numbers on (0, 1).

        Args:
            purpose: What they are for: other purposes get other numbers.
            shape: Of one image's numbers.
            step: Of several draws for one purpose.

        Returns:
            [B, *shape], float64.
        """
        ...

    def shared(self, divisor: int) -> Noise:
        """The source that images number n, n + 1, ... with equal n // divisor have in common."""
        ...

    @property
    def number(self) -> Tensor:
        """The number of each image, [B] int64."""
        ...


class ImageNoise:
    """The `Noise` of images with the given numbers under one seed.

    Args:
        seed: Any integer.
        number: The images' global numbers (training) or seeds (sampling), [B] int64; the numbers come out on its device.
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
        # Box and Muller: radius sqrt(-2 log u) from one uniform, angle 2 pi u from the other
        radius, angle = pairs.unbind(1)
        radius.log_().mul_(-2).sqrt_()
        angle.mul_(2 * math.pi)
        normal = torch.empty_like(pairs)
        torch.cos(angle, out=normal[:, 0])
        torch.sin(angle, out=normal[:, 1])
        normal.mul_(radius[:, None])
        return normal.flatten(1)[:, :count].reshape(-1, *shape)

    def _uniform(self, purpose: str, count: int, step: int) -> Tensor:
        words = philox(_key(self.seed, purpose), self._number, step, -(-count // 4))
        return words[:, :count].double().add_(0.5).mul_(2**-32)


class NoiseBetween:
    """The `Noise` on the way from some images to others: cos(phi) a + sin(phi) b with phi = u pi / 2, of every draw.

    This is spherical interpolation (Song et al. 2021, "Denoising Diffusion Implicit Models", appendix D.5) for noises at a right angle, as
    independent ones of many numbers are within a few degrees; unlike with the angle measured, what comes out is standard normal also where
    there are but two numbers. Steps that draw noise have it interpolated too, so that both ends are the samples of their seeds with any
    sampler.

    Args:
        a: Of the images at u = 0.
        b: Of those at u = 1.
        u: How far from a to b each is, [B] in [0, 1].
    """

    def __init__(self, a: Noise, b: Noise, u: Tensor):
        self.a, self.b, self.u = a, b, u.double()

    @property
    def number(self) -> Tensor:
        return self.a.number

    def shared(self, divisor: int) -> NoiseBetween:
        return NoiseBetween(self.a.shared(divisor), self.b.shared(divisor), self.u)

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        """That of the nearer end: what is made of it is a choice, of which there is nothing in between."""
        a, b = (noise.uniform(purpose, shape, step) for noise in (self.a, self.b))
        return torch.where(self._wide(self.u, a) < 0.5, a, b)

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        a, b = (noise.normal(purpose, shape, step) for noise in (self.a, self.b))
        phi = self._wide(self.u, a) * (math.pi / 2)
        return torch.cos(phi) * a + torch.sin(phi) * b

    @staticmethod
    def _wide(value: Tensor, like: Tensor) -> Tensor:
        return value.to(like.device).reshape(-1, *[1] * (like.ndim - 1))


def _key(seed: int, purpose: str) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox(key: tuple[int, int], number: Tensor, step: int, blocks: int) -> Tensor:
    """Philox-4x32-10 words [B, 4 * blocks] (int64 holding 32 bits) for counters (block, step, number low, number high).

    A round is c_0, c_1, c_2, c_3 <- high(p_1) ^ c_1 ^ k_0, low(p_1), high(p_0) ^ c_3 ^ k_1, low(p_0) with p_0 = m_0 c_0, p_1 = m_1 c_2.
    Everything is in place, and of both halves together where they are treated alike: what takes the time is memory, and on a GPU the
    number of operations. Keys are numbers of the host, so that no GPU is waited for.
    """
    words = torch.empty(len(number), 4, blocks, dtype=torch.int64, device=number.device)
    c0, c1, c2, c3 = words.unbind(1)
    c0.copy_(torch.arange(blocks, device=number.device))
    c1.fill_(step & _MASK)
    c2.copy_((number & _MASK)[:, None])
    c3.copy_(((number >> 32) & _MASK)[:, None])
    even, odd = words[:, 0::2], words[:, 1::2]
    products = torch.empty_like(odd)
    # p_1 comes first: it is what c_0 and c_1 are made of. Products and odd words change places in every round
    places = (products[:, 1], products[:, 0]), (odd[:, 1], odd[:, 0])
    k0, k1 = key
    for i in range(10):
        p0, p1 = places[i % 2]
        # int64 products wrap modulo 2^64, which keeps all 64 bits of a product of two 32-bit words
        torch.mul(c0, _MULTIPLIERS[0], out=p0)
        torch.mul(c2, _MULTIPLIERS[1], out=p1)
        torch.bitwise_right_shift(products, 32, out=even)
        even.bitwise_xor_(odd).bitwise_and_(_MASK)
        c0.bitwise_xor_(k0)
        c2.bitwise_xor_(k1)
        products, odd = odd, products  # the high halves of odd words are cut off where they meet others, and at the end
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    odd.bitwise_and_(_MASK)
    return words.flatten(1)
