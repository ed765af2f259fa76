import numpy as np
import pytest
import torch

from difflab.metrics import Moments

FEATURES = torch.from_numpy(3 + np.random.RandomState(0).randn(500, 20).astype(np.float32))


def moments_of(*batches: torch.Tensor) -> Moments:
    moments = Moments(20)
    for batch in batches:
        moments.update(batch)
    return moments


def test_equal_numpy():
    gaussian = moments_of(*FEATURES.split(64)).gaussian()
    f = FEATURES.double().numpy()
    assert gaussian.count == 500
    np.testing.assert_allclose(gaussian.mean.numpy(), f.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(gaussian.covariance.numpy(), np.cov(f, rowvar=False), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_batch_size_change_rounding_only(seed):
    generator = torch.Generator().manual_seed(seed)
    shuffled = FEATURES[torch.randperm(500, generator=generator)]
    a, b = moments_of(FEATURES).gaussian(), moments_of(*shuffled.split(7 + 50 * seed)).gaussian()
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(a.covariance, b.covariance, rtol=0, atol=1e-12)


def test_state_does_not_grow_and_is_float64():
    moments = moments_of(*FEATURES.split(10))
    assert sum(t.numel() for t in (moments.count, moments.total, moments.outer)) == 1 + 20 + 400
    assert {t.dtype for t in (moments.count, moments.total, moments.outer)} == {torch.float64}


def test_with_one_process_the_reduction_is_a_copy():
    moments = moments_of(FEATURES)
    reduced = moments.all_reduced()
    assert torch.equal(reduced.outer, moments.outer)
    reduced.update(FEATURES)
    assert int(moments.count) == 500


def test_errors():
    with pytest.raises(ValueError, match=r"\[B, 20\]"):
        Moments(20).update(torch.zeros(3, 19))
    with pytest.raises(ValueError, match="at least 2 images"):
        moments_of(FEATURES[:1]).gaussian()
