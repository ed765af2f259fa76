"""Precision and recall against guided-diffusion, torch-fidelity, known answers, properties and simulation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_clouds import ReferenceOf, compared, feature_set
from recipes import SETS

from difflab.features import Identity
from difflab.metrics import HalfPrecisionRecall, PrecisionRecall, Replicates
from difflab.metrics.neighbours import ball_radii, clouds, deviation_from_splits, memberships, nearest, quarters
from difflab.metrics.precision_recall import half_radii

GOLDEN = Path(__file__).parents[1] / "golden"
GUIDED = json.loads((GOLDEN / "metrics_guided_tf.json").read_text(encoding="utf-8"))["guided"]
GUIDED_RADII = np.load(GOLDEN / "metrics_guided_tf.npz")
TORCH_FIDELITY = json.loads((GOLDEN / "metrics_torch.json").read_text(encoding="utf-8"))["torch_fidelity"]
SAMPLES, REFERENCE = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (83, 101))


@pytest.mark.parametrize("name", sorted(GUIDED))
def test_golden_values_of_guided_diffusion_and_torch_fidelity(name):
    reference, samples = SETS()[name]
    values = compared(PrecisionRecall(3), samples, reference)
    assert values == GUIDED[name]["prec_recall_fp32"]
    assert values == GUIDED[name]["prec_recall_float64_own_numpy"]
    for k in (3, 5):
        golden = TORCH_FIDELITY[name][f"prc_k={k}_save_cpu_ram=True"]
        # they average in float32
        assert compared(PrecisionRecall(k), samples, reference) == pytest.approx(
            [golden["precision"], golden["recall"]], abs=1e-6
        )


@pytest.mark.parametrize("name", sorted(GUIDED))
def test_radii_of_guided_diffusion(name):
    for which, points in zip(("ref", "sample"), SETS()[name], strict=True):
        x = torch.from_numpy(points)
        golden = GUIDED_RADII[f"{name}/radii_{which}_fp32"]
        np.testing.assert_allclose(ball_radii(clouds(x)[0], 3), golden, rtol=5e-5)
        exact = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
        torch.testing.assert_close(ball_radii(clouds(x)[0], 3), exact.sort(dim=1).values[:, 3], rtol=1e-12, atol=0)
        # the order of float16 sums is the device's: norms of about 1,000 round to 0.5 or to 1
        step = np.spacing(points.astype(np.float16).astype(np.float32).__pow__(2).sum(1).max().astype(np.float16))
        half, golden = half_radii(x, 3).numpy(), GUIDED_RADII[f"{name}/radii_{which}_fp16path"]
        assert np.abs(half - golden).max() <= 2 * float(step)
        assert (half == golden).mean() > 0.5
        assert (half.astype(np.float16) == half).all()


@pytest.mark.parametrize("name", sorted(GUIDED))
def test_half_precision_form_is_that_of_guided_diffusion_to_an_image(name):
    reference, samples = SETS()[name]
    for k, key in ((3, "prec_recall_fp16_default"), (5, "prec_recall_fp16_k5")):
        values = compared(HalfPrecisionRecall(k), samples, reference)
        images = np.abs(np.array(values) - GUIDED[name][key]) * [len(samples), len(reference)]
        assert (images < 1.5).all()


def test_half_precision_rounds():
    """Distances that differ by less than a step of float16 are ties there, and closed balls hold ties."""
    reference = torch.tensor([[0.0, 0], [10, 0], [0, 40], [50, 0]])
    just_outside = torch.tensor([[-10.001, 0.0]] * 2)
    assert compared(PrecisionRecall(1), just_outside, reference)[0] == 0
    assert compared(HalfPrecisionRecall(1), just_outside, reference)[0] == 1
    with pytest.raises(ValueError, match="exceed 65504"):
        compared(HalfPrecisionRecall(1), 10 * just_outside, 100 * reference)


def brute_force(samples, reference, k: int) -> list[float]:
    def radii(z):
        return ((z[:, None] - z[None]) ** 2).sum(2).sort(1).values[:, k]

    x, y = torch.as_tensor(samples).double(), torch.as_tensor(reference).double()
    d = ((x[:, None] - y[None]) ** 2).sum(2)
    return [
        (d <= radii(y)).any(1).double().mean().item(),
        (d <= radii(x)[:, None]).any(0).double().mean().item(),
    ]


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize(("n", "m"), [(83, 101), (8, 9), (61, 8)])
def test_is_its_definition(k, n, m):
    assert compared(PrecisionRecall(k), SAMPLES[:n], REFERENCE[:m]) == pytest.approx(
        brute_force(SAMPLES[:n], REFERENCE[:m], k), abs=1e-12
    )


def test_blocks_and_order_do_not_matter():
    x, y = clouds(1.3 * SAMPLES, REFERENCE)
    radii = ball_radii(y, 3)
    whole = memberships(x, y, radii)
    for block in [(1, 1000), (1000, 7), (13, 29)]:
        assert torch.equal(ball_radii(y, 3, block), radii)
        assert all(torch.equal(a, b) for a, b in zip(memberships(x, y, radii, block=block), whole, strict=True))
        torch.testing.assert_close(nearest(y, 20, block)[0], nearest(y, 20)[0])
    order = torch.randperm(101, generator=torch.Generator().manual_seed(0))
    assert compared(PrecisionRecall(), SAMPLES, REFERENCE[order]) == compared(PrecisionRecall(), SAMPLES, REFERENCE)
    assert compared(PrecisionRecall(), SAMPLES.flip(0), REFERENCE) == compared(PrecisionRecall(), SAMPLES, REFERENCE)


def test_identical_sets_disjoint_sets_and_exchange():
    assert compared(PrecisionRecall(), REFERENCE, REFERENCE) == [1, 1]
    assert compared(PrecisionRecall(), REFERENCE + 100, REFERENCE) == [0, 0]
    precision, recall = compared(PrecisionRecall(), SAMPLES, REFERENCE)
    assert compared(PrecisionRecall(), REFERENCE, SAMPLES) == [recall, precision]


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_copies_are_at_distance_zero(offset):
    """Far from the origin, where float32 squared distances are off by the square of the distance times 1e-7.

    Each image occurs k + 1 times, so that all radii are zero, and the samples are copies, or a hair beside.
    """
    points = REFERENCE.repeat(4, 1) + offset
    copies = points[::3]
    assert compared(PrecisionRecall(3), copies, points)[0] == 1
    assert compared(PrecisionRecall(3), copies + 1e-4, points)[0] == 0
    assert ball_radii(clouds(points)[0], 3).eq(0).all()
    assert ball_radii(clouds(points)[0], 4).gt(0).all()


def test_known_share():
    """Half of the samples lie where no reference is."""
    outside = SAMPLES + 50
    inside = compared(PrecisionRecall(), SAMPLES, REFERENCE)[0]
    both = compared(PrecisionRecall(), torch.cat([SAMPLES, outside]), REFERENCE)[0]
    assert both == pytest.approx(inside / 2)


def test_precisions_standard_error():
    errors = PrecisionRecall().standard_errors(feature_set(SAMPLES), ReferenceOf(feature_set(REFERENCE)), Replicates(5))
    p = compared(PrecisionRecall(), SAMPLES, REFERENCE)[0]
    indicators = np.arange(83) < round(83 * p)
    assert errors["precision"] == pytest.approx(indicators.std(ddof=1) / 83**0.5, rel=1e-9)
    half = HalfPrecisionRecall().standard_errors(
        feature_set(SAMPLES), ReferenceOf(feature_set(REFERENCE)), Replicates()
    )
    assert list(half) == ["precision_fp16"]


def test_standard_errors_are_the_deviations_over_other_samples():
    """The reference is fixed. 120 data sets know a deviation to 6.5 %."""
    generator = torch.Generator().manual_seed(5)
    reference = ReferenceOf(feature_set(torch.randn(200, 4, generator=generator)))
    values, errors = [], []
    for _ in range(120):
        samples = feature_set(torch.randn(201, 4, generator=generator) * 0.7 + 0.3)
        values.append(list(PrecisionRecall().measure(samples, reference).values()))
        errors.append(list(PrecisionRecall().standard_errors(samples, reference, Replicates(4)).values()))
    ratio = np.mean(np.square(errors), axis=0) ** 0.5 / np.std(values, axis=0)
    assert (ratio > 0.8).all()
    assert (ratio < 1.3).all()


def test_a_part_of_the_samples_is_the_same_as_the_metric_of_that_part():
    """The masks on stored distances, against recall computed anew: with 2 replicates the standard error is checked by hand."""

    def recall(mask):
        return compared(PrecisionRecall(2), SAMPLES[mask], REFERENCE)[1]

    metric, replicates = PrecisionRecall(2), Replicates(2, seed=4)
    errors = metric.standard_errors(feature_set(SAMPLES), ReferenceOf(feature_set(REFERENCE)), replicates)
    assert errors["recall"] == pytest.approx(deviation_from_splits(recall, quarters(83, replicates)), rel=1e-9)


def test_names_needs_and_errors():
    assert PrecisionRecall().names(Identity("digits", 64, "")) == ["precision_digits", "recall_digits"]
    assert PrecisionRecall().names(Identity("inception", 2048, "")) == ["precision", "recall"]
    assert PrecisionRecall(5).needs().samples == 6
    with pytest.raises(
        ValueError, match=r"k = 3 needs at least 4 samples and 4 reference images, got 3 samples and 101"
    ):
        compared(PrecisionRecall(), SAMPLES[:3], REFERENCE)
    with pytest.raises(ValueError, match="got 83 samples and 3 reference"):
        compared(HalfPrecisionRecall(), SAMPLES, REFERENCE[:3])
    with pytest.raises(ValueError, match="not 0"):
        PrecisionRecall(0)
    few = feature_set(SAMPLES[:15])
    assert list(PrecisionRecall().standard_errors(few, ReferenceOf(few), Replicates())) == ["precision"]
