"""Kernel distance against torch-fidelity, closed forms and simulation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_clouds import ReferenceOf, compared, feature_set
from recipes import SETS

from difflab.features import Identity
from difflab.metrics import Kernel, Replicates

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics_torch.json").read_text(encoding="utf-8"))[
    "torch_fidelity"
]
CASES = [
    (name, *(int(word.split("=")[1]) for word in key.split("_")[-2:]))
    for name in GOLDEN
    for key in GOLDEN[name]
    if key.startswith("kid_float64")
]
SAMPLES, REFERENCE = (torch.randn(n, 6, generator=torch.Generator().manual_seed(n)) for n in (40, 50))


@pytest.mark.parametrize(("name", "subsets", "size"), CASES)
def test_golden_values_of_torch_fidelity(name, subsets, size):
    reference, samples = SETS()[name]
    values = compared(Kernel(subsets, size), samples, reference)
    for kind, tolerance in (("kid_float64", 1e-11), ("kid", 3e-7)):
        golden = GOLDEN[name][f"{kind}_subsets={subsets}_size={size}"]
        assert values[0] == pytest.approx(golden["kernel_inception_distance_mean"], abs=tolerance)
        assert values[1] == pytest.approx(golden["kernel_inception_distance_std"], abs=tolerance)


def test_whole_set_is_the_u_statistic_of_the_definition():
    """One subset of everything, summed pair by pair."""
    x, y = SAMPLES.double().numpy(), REFERENCE[:40].double().numpy()

    def k(a, b):
        return (a @ b / 6 + 1) ** 3

    within = sum(k(z[i], z[j]) for z in (x, y) for i in range(40) for j in range(40) if i != j) / (40 * 39)
    across = sum(k(a, b) for a in x for b in y) / 40**2
    assert compared(Kernel(1, 40), x, y) == pytest.approx([within - 2 * across, 0], rel=1e-10)


def test_expectation_is_the_closed_form():
    """One dimension, N(a, 1) against N(0, 1).

    The moments of (x y + 1)^3 = x^3 y^3 + 3 x^2 y^2 + 3 x y + 1 give MMD^2 = (m3 - n3)^2 + 3 (m2 - n2)^2 + 3 (m1 - n1)^2 with raw moments
    m, n.
    """
    a, rng = 0.5, np.random.RandomState(3)
    truth = (a**3 + 3 * a) ** 2 + 3 * (a**2) ** 2 + 3 * a**2
    values = [compared(Kernel(1, 100), rng.randn(100, 1) + a, rng.randn(100, 1))[0] for _ in range(400)]
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / 400**0.5


def test_standard_error_is_the_jackknife_by_hand():
    kernel, reference = Kernel(1, 40), REFERENCE[:40]
    error = kernel.standard_errors(feature_set(SAMPLES), ReferenceOf(feature_set(reference)), Replicates())["kid"]
    y = reference.double()
    yy = ((y @ y.T / 6 + 1) ** 3).fill_diagonal_(0).sum() / (40 * 39)

    def without(i: int) -> float:
        x = torch.cat([SAMPLES[:i], SAMPLES[i + 1 :]]).double()
        xx = ((x @ x.T / 6 + 1) ** 3).fill_diagonal_(0).sum() / (39 * 38)
        return (xx + yy - 2 * ((x @ y.T / 6 + 1) ** 3).mean()).item()

    values = np.array([without(i) for i in range(40)])
    assert error == pytest.approx((39 / 40 * ((values - values.mean()) ** 2).sum()) ** 0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("shift", "subsets", "size", "ratio"),
    [(0.2, 1, 200, (0.85, 1.2)), (0.2, 8, 60, (0.85, 1.2)), (0.0, 1, 200, (1.0, 1.6))],
)
def test_standard_error_is_the_deviation_over_other_samples(shift, subsets, size, ratio):
    """The reference is fixed. Where the distance is zero the jackknife is known to be too wide, by up to 2^1/2."""
    generator = torch.Generator().manual_seed(5)
    reference = ReferenceOf(feature_set(torch.randn(200, 6, generator=generator)))
    kernel, values, errors = Kernel(subsets, size), [], []
    for _ in range(200):
        samples = feature_set(torch.randn(200, 6, generator=generator) + shift)
        values.append(kernel.measure(samples, reference)["kid"])
        errors.append(kernel.standard_errors(samples, reference, Replicates())["kid"])
    found = np.mean(np.square(errors)) ** 0.5 / np.std(values)
    assert ratio[0] < found < ratio[1]
    if shift:
        covered = np.abs(np.array(values) - np.mean(values)) < 1.96 * np.array(errors)
        assert 0.90 < covered.mean() < 0.99


def test_names_needs_and_errors():
    assert Kernel().names(Identity("inception", 2048, "")) == ["kid", "kid_std"]
    assert Kernel().names(Identity("digits", 64, "")) == ["kd_digits", "kd_digits_std"]
    assert Kernel(subset_size=77).needs().samples == 77
    assert Kernel().needs().reference_features
    with pytest.raises(ValueError, match=r"subset_size = 45 needs at least 45 .* got 40 samples and 50 reference"):
        compared(Kernel(1, 45), SAMPLES, REFERENCE)
    with pytest.raises(ValueError, match="got 50 samples and 40 reference"):
        compared(Kernel(1, 45), REFERENCE, SAMPLES)
    with pytest.raises(ValueError, match="only statistics are known"):
        Kernel(1, 10).measure(feature_set(SAMPLES), ReferenceOf(None))
    with pytest.raises(ValueError, match="features of digits and of inception"):
        Kernel(1, 10).measure(feature_set(SAMPLES, "digits"), ReferenceOf(feature_set(REFERENCE)))
    with pytest.raises(ValueError, match="subset_size=2"):
        Kernel(1, 2)
