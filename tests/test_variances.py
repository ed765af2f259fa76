"""Log-variances of a reverse step between the posterior's and beta."""

import numpy as np
import pytest
import torch

from difflab.schedules import cosine, own_chain
from difflab.variances import FixedLarge, FixedSmall, Learned, LearnedRange

CHAIN = own_chain(cosine(100))
STEP = CHAIN.transition(torch.tensor([1, 2, 50, 100]))
IMAGE = torch.zeros(4, 3, 2, 2, dtype=torch.float64)
BETAS = cosine(100).betas.numpy()
BAR = np.cumprod(1 - BETAS)
POSTERIOR = BETAS[1:] * (1 - BAR[:-1]) / (1 - BAR[1:])  # Ho et al. 2020, eq. 7, for the second step and later


def flat(value):
    return value.expand_as(IMAGE)[:, 0, 0, 0].numpy()


def test_fixed_variances_by_the_paper():
    np.testing.assert_allclose(
        np.exp(flat(FixedSmall().log_var(None, STEP, IMAGE))), POSTERIOR[[0, 0, 48, 98]], rtol=1e-9
    )
    np.testing.assert_allclose(
        np.exp(flat(FixedLarge().log_var(None, STEP, IMAGE))), [POSTERIOR[0], *BETAS[[1, 49, 99]]], rtol=1e-9
    )


def test_learned_range_interpolates_logarithms():
    small, large = (
        flat(v) for v in (LearnedRange().log_var(torch.full_like(IMAGE, f), STEP, IMAGE) for f in (-1.0, 1.0))
    )
    np.testing.assert_allclose(np.exp(small), POSTERIOR[[0, 0, 48, 98]], rtol=1e-9)
    np.testing.assert_allclose(np.exp(large), BETAS[[0, 1, 49, 99]], rtol=1e-9)
    quarter = flat(LearnedRange().log_var(torch.full_like(IMAGE, -0.5), STEP, IMAGE))
    np.testing.assert_allclose(quarter, 0.75 * small + 0.25 * large, rtol=1e-12)


def test_learned_is_the_output_itself():
    fraction = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Learned().log_var(fraction, STEP, IMAGE), fraction)


@pytest.mark.parametrize(("kind", "channels"), [(FixedSmall, 0), (FixedLarge, 0), (Learned, 1), (LearnedRange, 1)])
def test_channels_spent(kind, channels):
    assert kind().channels == channels
