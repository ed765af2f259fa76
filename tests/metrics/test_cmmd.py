"""CMMD against its definition, closed forms and simulation."""

import numpy as np
import pytest
import torch
from feature_clouds import ReferenceOf, compared, feature_set

from difflab.features import Identity
from difflab.metrics import Cmmd, Replicates

SAMPLES, REFERENCE = (torch.randn(n, 6, generator=torch.Generator().manual_seed(n)) for n in (41, 50))


def by_definition(x, y, bandwidth: float, scale: float) -> float:
    """Pair by pair."""
    x, y = (z.double() / z.double().norm(dim=1, keepdim=True) for z in (x, y))

    def mean(a, b):
        return np.mean([[np.exp(-((u - v) ** 2).sum().item() / (2 * bandwidth**2)) for u in a] for v in b])

    return scale * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


@pytest.mark.parametrize(("bandwidth", "scale"), [(10, 1000), (0.7, 1)])
def test_is_its_definition(bandwidth, scale):
    value = compared(Cmmd(bandwidth, scale), SAMPLES, REFERENCE)[0]
    assert value == pytest.approx(by_definition(SAMPLES, REFERENCE, bandwidth, scale), rel=1e-9)


def test_two_points():
    """All samples at one end of a diameter, the reference at the other: 1 + 1 - 2 exp(-4 / 2 bandwidth^2)."""
    x = torch.tensor([[2.0, 0.0]]).repeat(3, 1)
    assert compared(Cmmd(), x, -x.repeat(2, 1)) == pytest.approx([2000 * (1 - np.exp(-4 / 200))], rel=1e-12)


def test_identical_sets_give_zero_and_length_does_not_matter():
    assert compared(Cmmd(), SAMPLES, SAMPLES.flip(0)) == pytest.approx([0], abs=1e-9)
    assert compared(Cmmd(), 3 * SAMPLES, REFERENCE) == pytest.approx(compared(Cmmd(), SAMPLES, REFERENCE), rel=1e-5)


def test_many_blocks():
    """More rows than a block holds: copies of a set are the set."""
    many = compared(Cmmd(), SAMPLES.repeat(26, 1), REFERENCE.repeat(165, 1))
    assert many == pytest.approx(compared(Cmmd(), SAMPLES, REFERENCE), rel=1e-9)


def test_standard_error_is_the_jackknife_by_hand():
    error = Cmmd(0.7).standard_errors(feature_set(SAMPLES), ReferenceOf(feature_set(REFERENCE)), Replicates())["mmd"]
    left = [torch.cat([SAMPLES[:i], SAMPLES[i + 1 :]]) for i in range(41)]
    values = np.array([compared(Cmmd(0.7), x, REFERENCE)[0] for x in left])
    assert error == pytest.approx((40 / 41 * ((values - values.mean()) ** 2).sum()) ** 0.5, rel=1e-9)


def test_standard_error_is_the_deviation_over_other_samples():
    generator = torch.Generator().manual_seed(5)
    reference = ReferenceOf(feature_set(torch.randn(200, 6, generator=generator)))
    values, errors = [], []
    for _ in range(200):
        samples = feature_set(torch.randn(150, 6, generator=generator) + 0.3)
        values.append(Cmmd().measure(samples, reference)["mmd"])
        errors.append(Cmmd().standard_errors(samples, reference, Replicates())["mmd"])
    assert 0.85 < np.mean(np.square(errors)) ** 0.5 / np.std(values) < 1.2
    assert 0.90 < (np.abs(np.array(values) - np.mean(values)) < 1.96 * np.array(errors)).mean() < 0.99


def test_names_and_errors():
    assert Cmmd().names(Identity("clip_vitl14_336", 768, "")) == ["cmmd"]
    assert Cmmd().names(Identity("digits", 64, "")) == ["mmd_digits"]
    with pytest.raises(ValueError, match="bandwidth=0"):
        Cmmd(bandwidth=0)
    with pytest.raises(ValueError, match="got 1 samples"):
        compared(Cmmd(), SAMPLES[:1], REFERENCE)
