"""Frechet distance against closed forms, the published implementations, and their own code."""

import json
import warnings
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
from recipes import SETS
from torch import nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from difflab.evaluation import Measurement
from difflab.evaluation.reference import FeatureReference
from difflab.features import Features, FeatureSet, Identity
from difflab.metrics import (
    ClassFrechet,
    Cmmd,
    Frechet,
    FrechetDistance,
    Gaussian,
    Moments,
    Protocol,
    Replicates,
    SpatialFrechet,
    frechet_distance,
)
from difflab.metrics.gaussian import covariance_root
from one_pass import each

GOLDEN = Path(__file__).parents[1] / "golden"
TORCH_FIDELITY = json.loads((GOLDEN / "metrics_torch.json").read_text(encoding="utf-8"))["torch_fidelity"]
GUIDED = json.loads((GOLDEN / "metrics_guided_tf.json").read_text(encoding="utf-8"))["guided"]
FEATURE_SETS = {name: (torch.from_numpy(ref), torch.from_numpy(sample)) for name, (ref, sample) in SETS().items()}

pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the .* dimensions")


def gaussian_of(features: torch.Tensor) -> Gaussian:
    moments = Moments(features.shape[1])
    moments.update(features)
    return moments.gaussian()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet_distance(gaussian_of(a), gaussian_of(b)).distance


@cache  # seconds at 2048 dimensions
def distance_of_set(name: str) -> float:
    return distance(*FEATURE_SETS[name])


def random_orthogonal(d: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))[0]


def test_commuting_gaussians_have_a_closed_form():
    d, generator = 30, torch.Generator().manual_seed(0)
    q = random_orthogonal(d, 1)
    m1, m2, l1, l2 = (torch.rand(d, dtype=torch.float64, generator=generator) for _ in range(4))
    result = frechet_distance(Gaussian(m1, q * l1 @ q.T, 10**6), Gaussian(m2, q * l2 @ q.T, 10**6))
    assert result.mean_term == pytest.approx((m1 - m2).square().sum().item(), rel=1e-12)
    assert result.covariance_term == pytest.approx((l1.sqrt() - l2.sqrt()).square().sum().item(), rel=1e-10)
    assert result.distance == result.mean_term + result.covariance_term


def test_gaussians_that_do_not_commute():
    """In two dimensions tr (S1 S2)^1/2 = sqrt(tr S1 S2 + 2 sqrt(det S1 S2))."""
    s1 = torch.tensor([[2.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
    s2 = torch.tensor([[0.5, -0.3], [-0.3, 3.0]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    cross = torch.sqrt((s1 @ s2).trace() + 2 * torch.sqrt(torch.det(s1) * torch.det(s2)))
    expected = (s1.trace() + s2.trace() - 2 * cross).item()
    assert frechet_distance(Gaussian(zero, s1, 100), Gaussian(zero, s2, 100)).distance == pytest.approx(
        expected, rel=1e-12
    )


def test_properties():
    a, b = FEATURE_SETS["gauss64"]
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-12)
    assert distance(a, a) == pytest.approx(0, abs=1e-11)
    q = random_orthogonal(64, 2)
    assert distance(a.double() @ q, b.double() @ q) == pytest.approx(distance(a, b), rel=1e-11)


def test_fewer_images_than_dimensions_equals_the_exact_value_from_features():
    """tr (S1 S2)^1/2 is the sum of the singular values of X1 X2^T, X the centred features over sqrt(N - 1)."""
    for name in ("lowrank64", "inception_like2048"):
        x1, x2 = (f.double() for f in FEATURE_SETS[name])
        centred = [(x - x.mean(dim=0)) / (len(x) - 1) ** 0.5 for x in (x1, x2)]
        traces = sum(c.square().sum() for c in centred)
        cross = torch.linalg.svdvals(centred[0] @ centred[1].T).sum()
        expected = (x1.mean(dim=0) - x2.mean(dim=0)).square().sum() + traces - 2 * cross
        assert distance_of_set(name) == pytest.approx(expected.item(), rel=1e-11)


@each(
    ("first", "second", "turned"),
    product([0, 6, 11], [0, 6, 11], ["not", "a little", "wholly"]),
)
def test_ill_conditioned_covariances_of_full_rank(first, second, turned):
    """Roots of eigenvalues lose no digits against singular values, which have none to lose, at condition numbers up to 1e11."""
    d = 80
    q = random_orthogonal(d, 5)
    generator = torch.Generator().manual_seed(6)
    nearly = torch.eye(d, dtype=torch.float64) + 1e-4 * torch.randn(d, d, dtype=torch.float64, generator=generator)
    p = {"not": q, "a little": q @ torch.linalg.qr(nearly)[0], "wholly": random_orthogonal(d, 7)}[turned]

    def covariance(q: torch.Tensor, decades: int) -> torch.Tensor:
        s = q * 10 ** -torch.linspace(0, decades, d, dtype=torch.float64) @ q.T
        return (s + s.T) / 2

    s1, s2, zero = covariance(q, first), covariance(p, second), torch.zeros(d, dtype=torch.float64)
    roots = covariance_root(s1), covariance_root(s2)
    assert roots[0].shape == roots[1].shape == (d, d)
    expected = s1.trace() + s2.trace() - 2 * torch.linalg.svdvals(roots[0].T @ roots[1]).sum()
    found = frechet_distance(Gaussian(zero, s1, 1000), Gaussian(zero, s2, 1000)).distance
    assert found == pytest.approx(expected.item(), rel=0, abs=1e-12 * (s1.trace() + s2.trace()).item())


# with full rank the formulas are equal; below it the others count rounding noise (see frechet.py), which makes them too small
AGREEMENT = {"gauss64": 1e-9, "lowrank64": 1e-7, "inception_like2048": 2e-5}


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_golden_values_of_torch_fidelity_and_guided_diffusion(name):
    ours = distance_of_set(name)
    assert ours == pytest.approx(TORCH_FIDELITY[name]["fid_from_float64_features"], rel=AGREEMENT[name])
    assert ours == pytest.approx(GUIDED[name]["fid_from_float64_features"], rel=AGREEMENT[name])
    # their means of float32 features are float32
    assert ours == pytest.approx(TORCH_FIDELITY[name]["frechet_inception_distance"], rel=AGREEMENT[name] + 5e-8)
    assert ours == pytest.approx(GUIDED[name]["fid"], rel=AGREEMENT[name] + 5e-8)


def test_agrees_with_torch_fidelity_itself():
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.randn(n, 32, dtype=torch.float64, generator=generator).exp() for n in (400, 301))
    theirs = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), False)
    assert distance(a, b) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-9)


class Flatten(nn.Module):
    """A feature extractor without weights, for torchmetrics."""

    num_features = 27

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).double()


def test_agrees_with_torchmetrics_itself():
    generator = torch.Generator().manual_seed(4)
    real, fake = (torch.randint(0, 256, (n, 3, 3, 3), dtype=torch.uint8, generator=generator) for n in (300, 200))
    theirs = FrechetInceptionDistance(feature=Flatten(), input_img_size=(3, 3, 3))
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert distance(real.flatten(1), fake.flatten(1)) == pytest.approx(theirs.compute().item(), rel=1e-9)


def test_warns_below_full_rank_only():
    with pytest.warns(UserWarning, match="40 samples are fewer than the 64 dimensions"):
        distance(*FEATURE_SETS["lowrank64"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distance(*FEATURE_SETS["gauss64"])


@pytest.mark.parametrize("covariance_term", [-5e-13, 0.0, 5e-13])
def test_no_distance_is_below_0(covariance_term):
    assert FrechetDistance(0.0, covariance_term).distance == max(0.0, covariance_term)


def test_a_set_with_itself_lies_within_its_interval_whatever_the_distance():
    """Rounding is of either sign, by processor and number of threads."""
    features = torch.randn(200, 12, generator=torch.Generator().manual_seed(0)) * 30 + 5
    identity = Identity("mine", 12, "", spatial_dimension=12)
    labels = torch.arange(200) % 2
    samples = FeatureSet.of(identity, Features(features, spatial=features * 3), labels)
    metrics = [Frechet(), SpatialFrechet(), ClassFrechet(), Cmmd()]
    reference, found = FeatureReference(samples), []
    for metric in metrics:
        errors, infos = metric.standard_errors(samples, reference, Replicates(20)), metric.info(identity)
        for name, value in metric.measure(samples, reference).items():
            found.append(Measurement.of(name, value, 200, Protocol({}), infos[name], errors[name], 20))
    assert len(found) == 4
    for one in found:
        low, high = one.interval()
        assert 0 <= low <= one.value <= high, one.metric
        assert one.value == pytest.approx(0, abs=1e-7)


def test_features_of_different_extractors_are_refused():
    with pytest.raises(ValueError, match="different extractors"):
        distance(torch.randn(50, 3), torch.randn(50, 4))
