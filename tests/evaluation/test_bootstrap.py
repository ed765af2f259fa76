"""Standard errors against simulation: what the numbers really do over other sets of the same size."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy.stats import poisson
from scipy.stats import t as student

from difflab.evaluation.reference import FeatureReference, PublishedStatistics
from difflab.features import Features, FeatureSet, Identity
from difflab.metrics import (
    ClassFrechet,
    Frechet,
    FrechetInfinity,
    Gaussian,
    Inception,
    InceptionOfSize,
    Metric,
    Replicates,
    SpatialFrechet,
    frechet_distance,
)
from difflab.metrics.bootstrap import Frame, WeightedMoments, damped_weights, frechet_replicates, standard_error
from difflab.metrics.gaussian import gaussian_of

REPLICATES = Replicates(60)


def normal(d: int) -> Gaussian:
    return Gaussian(torch.zeros(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64), 0)


def gauss(seed: int, n: int, d: int, shift: float, scale: float) -> FeatureSet:
    rows = shift + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return FeatureSet.of(Identity("test", d, "none"), Features(rows))


def simulated(metric: Metric, sets: list[FeatureSet], reference) -> tuple[torch.Tensor, torch.Tensor]:
    """Value and standard error of each set."""
    rows = []
    for samples in sets:
        value, *_ = metric.measure(samples, reference).values()
        error, *_ = metric.standard_errors(samples, reference, REPLICATES).values()
        rows.append((value, error))
    values, errors = torch.tensor(rows, dtype=torch.float64).T
    return values, errors


def covered(values: torch.Tensor, errors: torch.Tensor, truth: float) -> float:
    reach = float(student.ppf(0.975, REPLICATES.count - 1)) * errors
    return ((values - truth).abs() < reach).double().mean().item()


@pytest.mark.parametrize(("d", "shift", "scale"), [(6, 0.5, 1.3), (4, 0.3, 1.0)])
def test_intervals_cover_the_distance_at_n_and_in_the_limit(d, shift, scale):
    """200 sets of 500 images from a Gaussian at the closed-form distance d (shift^2 + (scale - 1)^2) from the reference."""
    truth = d * (shift**2 + (scale - 1) ** 2)
    sets = [gauss(seed, 500, d, shift, scale) for seed in range(200)]
    reference = PublishedStatistics({"features": normal(d)})
    at_n, errors = simulated(Frechet(), sets, reference)
    assert 0.91 <= covered(at_n, errors, at_n.mean().item()) <= 0.98
    assert errors.mean() == pytest.approx(at_n.std().item(), rel=0.12)
    limit, errors = simulated(FrechetInfinity(smallest_subset=100), sets, reference)
    assert 0.91 <= covered(limit, errors, truth) <= 0.98
    assert errors.mean() == pytest.approx(limit.std().item(), rel=0.12)


@pytest.mark.parametrize(("d", "n", "shift", "scale", "factor"), [(6, 500, 0.0, 1.0, 1.4), (32, 160, 0.1, 1.05, 1.5)])
def test_where_bias_is_all_there_is_the_error_is_on_the_wide_side(d, n, shift, scale, factor):
    """Samples from the reference's own distribution, and few images in many dimensions.

    The textbook's bootstrap gives factors of 1.6 and 1.9.
    """
    sets = [gauss(seed, n, d, shift, scale) for seed in range(60)]
    values, errors = simulated(Frechet(), sets, PublishedStatistics({"features": normal(d)}))
    assert 0.9 < errors.mean() / values.std() < factor


def test_scores_classes_and_spatial_features_against_simulation():
    """The error of every other number that has one is the deviation over 60 sets."""
    identity = Identity("test", 4, "none", num_classes=5, spatial_dimension=4)

    def draw(seed: int, shift: float) -> FeatureSet:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 3, (300,), generator=generator)
        rows = torch.randn(300, 4, generator=generator) + labels[:, None]
        logits = 2 * torch.randn(300, 5, generator=generator)
        return FeatureSet.of(identity, Features(shift + rows, logits, 2 * shift + rows), labels)

    sets, reference = [draw(seed, 0.6) for seed in range(60)], FeatureReference(draw(1000, 0))
    for metric in (ClassFrechet(), SpatialFrechet(), Inception(splits=3), InceptionOfSize(170)):
        values, errors = simulated(metric, sets, reference)
        assert errors.mean() == pytest.approx(values.std().item(), rel=0.25), metric
        assert covered(values, errors, values.mean().item()) > 0.88, metric
    named = Inception(splits=3).standard_errors(sets[0], reference, REPLICATES)
    assert list(named) == ["is_test", "is_test_std"]


def test_equal_weights_give_the_distance_itself():
    """Also with correlated features of very different sizes, and fewer images than dimensions."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.logspace(0, -3, 40)
    for n in (300, 30):
        rows, other = (
            torch.randn(n, 40, generator=generator) @ torch.randn(40, 40, generator=generator) * scales
            for _ in range(2)
        )
        samples, real = (FeatureSet.of(Identity("test", 40, ""), Features(x)) for x in (1 + rows, other))
        frame = Frame.of(gaussian_of(real), samples, "features")
        sums = WeightedMoments.zeros(2, *frame.root.shape)
        x = (samples.column("features").double() - frame.origin).float()
        sums.add(x, x @ frame.root.float(), torch.ones(n, 2, dtype=torch.float64))
        with pytest.warns(UserWarning, match="fewer than the") if n == 30 else nullcontext():
            expected = frechet_distance(gaussian_of(samples), gaussian_of(real)).distance
        assert sums.distances(frame).tolist() == pytest.approx([expected] * 2, rel=1e-5)


def test_replicates_depend_on_seed_and_image_and_not_on_parts(monkeypatch):
    rows = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    identity = Identity("test", 5, "none")
    whole = FeatureSet.of(identity, Features(rows))
    parts = FeatureSet(identity, [{"features": part} for part in rows.split(13)])
    expected = frechet_replicates(whole, "features", normal(5), Replicates(20))
    torch.testing.assert_close(
        frechet_replicates(parts, "features", normal(5), Replicates(20)), expected, rtol=0, atol=5e-6
    )
    # in passes of 3 replicates, as many dimensions would need
    monkeypatch.setattr("difflab.metrics.bootstrap._MEMORY", 75)
    torch.testing.assert_close(
        frechet_replicates(whole, "features", normal(5), Replicates(20)), expected, rtol=0, atol=5e-6
    )
    assert not torch.allclose(frechet_replicates(whole, "features", normal(5), Replicates(20, seed=1)), expected)
    # a set in another order is the same set, if its rows know their numbers
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        frechet_replicates(whole.select(order), "features", normal(5), Replicates(20), number=order),
        expected,
        rtol=0,
        atol=5e-6,
    )


def test_weights_are_poissons():
    drawn = 1 + 4 * (damped_weights(Replicates(50), torch.arange(4000)) - 1)
    found = np.bincount(drawn.round().long().flatten().numpy(), minlength=9)[:9] / drawn.numel()
    np.testing.assert_allclose(found, poisson.pmf(np.arange(9), 1), atol=4 * 0.5 / drawn.numel() ** 0.5)
    between = torch.corrcoef(drawn[:, :5].T) - torch.eye(5)
    assert between.abs().max() < 4 / 4000**0.5


def test_too_few_replicates():
    with pytest.raises(ValueError, match="3 replicates are too few"):
        standard_error(torch.ones(3, dtype=torch.float64))
