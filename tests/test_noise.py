"""Randomness without state: Philox by known answers, and that the numbers are what they claim."""

import hashlib
import math
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


def test_numbers_are_those_that_runs_have_begun_with():
    """Stored when the generator was first written: runs and sets of images that have begun go on with the same noise."""
    number = torch.tensor([0, 1, 2**31 + 5, 2**40 + 123])
    drawn = philox((123456789, 987654321), number, 2**20 + 3, 97).numpy().tobytes()
    assert hashlib.sha256(drawn).hexdigest() == "664cebe719c5887e8d1759a48324132375fdb2d5427142f64488c4b7a8890033"
    noise = ImageNoise(17, number)
    uniform = ["0x1.a489529d00000p-1", "0x1.175b971200000p-2", "0x1.90e985a200000p-2", "0x1.26f203c200000p-2"]
    assert [u.hex() for u in noise.uniform("time").tolist()] == uniform
    normal = [
        [0.8587289173737173, -0.7327629594892845, -2.5940282193970763],
        [1.0259872248629949, 1.2881138614846532, -0.31866230390360156],
        [0.6933812958153523, 1.2761343041851239, 0.850970159360955],
        [0.2821856246047569, -0.7551087197738497, 0.42739859560299004],
    ]
    # logarithm and cosine may differ in the last bit from processor to processor
    np.testing.assert_allclose(noise.normal("eps", (3, 1, 1), 7).reshape(4, 3).numpy(), normal, rtol=1e-14)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 7, 9), (2, 3), (5,)])
def test_normal_numbers_are_to_the_bit_box_and_mullers_of_the_uniform_ones(shape):
    count = math.prod(shape)
    noise = ImageNoise(4, torch.tensor([9, 2**35, 1]))
    u = noise.uniform("eps", (count + count % 2,), 5).reshape(3, 2, -1)
    radius, angle = torch.sqrt(-2 * torch.log(u[:, 0])), 2 * math.pi * u[:, 1]
    expected = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :count]
    assert torch.equal(noise.normal("eps", shape, 5), expected.reshape(3, *shape))


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
