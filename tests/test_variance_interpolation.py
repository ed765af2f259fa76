"""The variance between DDPM's two."""

import pytest
import torch

from difflab.schedules import cosine, own_chain
from difflab.variances import FixedLarge, FixedSmall, Interpolated, LearnedRange

STEP = own_chain(cosine(100)).transition(torch.tensor([2, 50, 100]))
IMAGE = torch.zeros(3, 1, 2, 2, dtype=torch.float64)


def test_its_ends_are_the_fixed_variances_and_between_it_is_a_constant_learned_one():
    def log_var(variance, fraction=None):
        return variance.log_var(fraction, STEP, IMAGE).expand_as(IMAGE)

    torch.testing.assert_close(log_var(Interpolated(0)), log_var(FixedSmall()))
    torch.testing.assert_close(log_var(Interpolated(1)), log_var(FixedLarge()))
    torch.testing.assert_close(log_var(Interpolated(0.3)), log_var(LearnedRange(), torch.full_like(IMAGE, 2 * 0.3 - 1)))


def test_other_shares_are_refused():
    with pytest.raises(ValueError, match=r"v = 1.5 must be in \[0, 1\]"):
        Interpolated(1.5)
