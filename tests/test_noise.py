"""Randomness without state: Philox by known answers, and that the numbers are what they claim."""

import random

import numpy as np
import pytest
import torch
from scipy import stats

from difflab.noise import ImageNoise, Noise, philox

MASK = 2**32 - 1


def philox_by_the_paper(counter, key):
    """Salmon et al. 2011, section 3.3 and figure 3, in Python's unbounded integers."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        hi0, lo0 = divmod(0xD2511F53 * c[0], 2**32)
        hi1, lo1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [hi1 ^ c[1] ^ k0, lo1, hi0 ^ c[3] ^ k1, lo0]
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c


def words(number, step, key, blocks):
    """[4, blocks] words of one image."""
    return philox(key, torch.tensor([number]), step, blocks).reshape(4, blocks)


def test_known_answer():
    """The first line of Random123's kat_vectors for philox4x32-10."""
    assert words(0, 0, (0, 0), 1).flatten().tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox_by_the_paper((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_random_counters_and_keys():
    draw = random.Random(0)
    for _ in range(50):
        number, step = draw.getrandbits(63), draw.getrandbits(32)
        key = draw.getrandbits(32), draw.getrandbits(32)
        ours = words(number, step, key, 3)
        for block in range(3):
            assert ours[:, block].tolist() == philox_by_the_paper((block, step, number & MASK, number >> 32), key)


@pytest.mark.parametrize("dtype_number", [torch.tensor([5, 0, 10**12, 2**40 + 1, 77])])
def test_an_image_does_not_depend_on_its_batch(dtype_number):
    whole = ImageNoise(3, dtype_number)
    order = torch.tensor([4, 2, 0, 1, 3])
    permuted = ImageNoise(3, dtype_number[order])
    for draw in (
        lambda n: n.normal("eps", (3, 5, 5), 7),
        lambda n: n.uniform("time"),
        lambda n: n.uniform("mask", (2, 3)),
    ):
        assert torch.equal(draw(whole)[order], draw(permuted))
        for i, number in enumerate(dtype_number):
            assert torch.equal(draw(whole)[i], draw(ImageNoise(3, number[None]))[0])


def test_each_of_seed_purpose_number_and_step_gives_a_new_stream():
    base = ImageNoise(0, torch.arange(4)).normal("eps", (1000,), 0)
    others = [
        ImageNoise(1, torch.arange(4)).normal("eps", (1000,), 0),
        ImageNoise(0, torch.arange(4)).normal("step", (1000,), 0),
        ImageNoise(0, torch.arange(4)).normal("eps", (1000,), 1),
        ImageNoise(0, torch.arange(4) + 4).normal("eps", (1000,), 0),
        ImageNoise(0, torch.arange(4) + 2**32).normal("eps", (1000,), 0),
    ]
    streams = torch.cat([base, *others])
    correlation = np.corrcoef(streams.numpy()) - np.eye(len(streams))
    assert abs(correlation).max() < 5 / np.sqrt(1000)


def test_normal_numbers_are_normal():
    z = ImageNoise(11, torch.arange(200)).normal("eps", (3, 8, 8)).numpy()
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert stats.kstest(z[:, 0, 0, 0], "norm").pvalue > 1e-3  # the same element over images
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * np.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96 / n)
    # sine and cosine of Box and Muller share a radius: the elements must still not know of each other
    rows = z.reshape(200, -1)
    half = rows.shape[1] // 2
    assert abs((rows[:, :half] * rows[:, half:]).mean()) < 4 / np.sqrt(n / 2)
    assert abs(((rows[:, :half] ** 2 - 1) * (rows[:, half:] ** 2 - 1)).mean()) < 4 * 2 / np.sqrt(n / 2)


def test_uniform_numbers_are_uniform_and_never_0_or_1():
    u = ImageNoise(12, torch.arange(20000)).uniform("time")
    assert u.dtype == torch.float64
    assert 0 < u.min() < u.max() < 1
    assert torch.equal(
        u * 2**32 % 1, torch.full_like(u, 0.5)
    )  # the middle of one of 2^32 intervals: log(u) is always finite
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3


def test_an_odd_number_of_elements():
    z = ImageNoise(1, torch.arange(3)).normal("eps", (5, 1, 1))
    assert z.shape == (3, 5, 1, 1)
    assert len(z.unique()) == 15


def test_shared_draws_are_the_same_within_a_group_and_only_there():
    noise = ImageNoise(0, torch.tensor([0, 1, 2, 3, 4, 8, 11]))
    u = noise.shared(4).uniform("time")
    assert isinstance(noise, Noise)
    assert u[0] == u[1] == u[2] == u[3]
    assert u[5] == u[6]
    assert len(u.unique()) == 3
    assert torch.equal(u[4:5], ImageNoise(0, torch.tensor([7])).shared(4).uniform("time"))
