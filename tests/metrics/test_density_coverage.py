"""Density and coverage against their definition, known answers and simulation."""

import numpy as np
import pytest
import torch
from feature_clouds import ReferenceOf, compared, feature_set

from difflab.metrics import DensityCoverage, Replicates
from difflab.metrics.neighbours import deviation_from_splits, quarters

SAMPLES, REFERENCE = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (83, 101))


def brute_force(samples, reference, k: int) -> list[float]:
    """As in the paper, with loops."""
    x, y = samples.double().numpy(), reference.double().numpy()
    radii = [sorted(np.linalg.norm(y - center, axis=1))[k] for center in y]
    inside = np.array([[np.linalg.norm(a - b) < r for b, r in zip(y, radii, strict=True)] for a in x])
    return [inside.sum() / (k * len(x)), inside.any(axis=0).mean()]


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("n", "m"), [(83, 101), (2, 7), (61, 8)])
def test_is_its_definition(k, n, m):
    found = compared(DensityCoverage(k), SAMPLES[:n], REFERENCE[:m])
    assert found == pytest.approx(brute_force(SAMPLES[:n], REFERENCE[:m], k), rel=1e-12)


def test_reference_against_itself_and_far_away():
    """Open balls: each row lies in its own ball and in those of k - 1 others on the average."""
    assert compared(DensityCoverage(), REFERENCE, REFERENCE) == pytest.approx([1, 1])
    assert compared(DensityCoverage(), REFERENCE + 100, REFERENCE) == [0, 0]


def test_copies_of_samples_change_neither():
    doubled = compared(DensityCoverage(), SAMPLES.repeat(3, 1), REFERENCE)
    assert doubled == pytest.approx(compared(DensityCoverage(), SAMPLES, REFERENCE))


def test_an_outlier_in_the_reference_lifts_density_less_than_precision():
    """The figure of the paper: a far reference image with a ball so large that it holds all samples."""
    samples = torch.randn(60, 2, generator=torch.Generator().manual_seed(1)) + 30
    reference = torch.cat([REFERENCE[:, :2], torch.tensor([[60.0, 60.0]])])
    density, coverage = compared(DensityCoverage(), samples, reference)
    assert density == pytest.approx(1 / 5)
    assert coverage == pytest.approx(1 / 102)


def test_standard_errors_by_hand():
    replicates = Replicates(3, seed=4)
    errors = DensityCoverage(2).standard_errors(feature_set(SAMPLES), ReferenceOf(feature_set(REFERENCE)), replicates)
    single = [compared(DensityCoverage(2), SAMPLES[[i, i]], REFERENCE)[0] for i in range(83)]
    assert errors["density"] == pytest.approx(np.std(single, ddof=1) / 83**0.5, rel=1e-9)

    def coverage(mask):
        return compared(DensityCoverage(2), SAMPLES[mask], REFERENCE)[1]

    assert errors["coverage"] == pytest.approx(deviation_from_splits(coverage, quarters(83, replicates)), rel=1e-9)


@pytest.mark.parametrize(("shift", "scale"), [(0.3, 0.7), (1.0, 0.5)])
def test_standard_errors_are_the_deviations_over_other_samples(shift, scale):
    """The reference is fixed. 120 data sets know a deviation to 6.5 %; coverage is on the safe side."""
    generator = torch.Generator().manual_seed(6)
    reference = ReferenceOf(feature_set(torch.randn(200, 6, generator=generator)))
    values, errors = [], []
    for _ in range(120):
        samples = feature_set(torch.randn(200, 6, generator=generator) * scale + shift)
        values.append(list(DensityCoverage().measure(samples, reference).values()))
        errors.append(list(DensityCoverage().standard_errors(samples, reference, Replicates(5)).values()))
    density, coverage = np.mean(np.square(errors), axis=0) ** 0.5 / np.std(values, axis=0)
    assert 0.78 < density < 1.3
    assert 0.78 < coverage < 1.6


def test_errors():
    with pytest.raises(ValueError, match=r"2 samples and 6 reference images, got 83 samples and 5 reference"):
        compared(DensityCoverage(), SAMPLES, REFERENCE[:5])
    with pytest.raises(ValueError, match="not 0"):
        DensityCoverage(0)
