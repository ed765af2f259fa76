import pytest
import torch

from difflab.evaluation import StatisticsCache
from difflab.evaluation.reference import FeatureReference, PublishedStatistics
from difflab.features import FeatureSet, Identity
from difflab.metrics import Gaussian

IDENTITY = Identity("test", 3, "none", spatial_dimension=2)
ROWS = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))


def features(fingerprint: str | None = None) -> FeatureSet:
    parts = [{"features": ROWS[i, :3], "spatial": ROWS[i, 3:]} for i in torch.arange(50).split(17)]
    return FeatureSet(IDENTITY, parts, fingerprint=fingerprint)


def test_gaussians_of_both_columns(tmp_path):
    reference = FeatureReference(features(), StatisticsCache(tmp_path / "cache"))
    assert (reference.count, reference.columns) == (50, {"features", "spatial"})
    for column, rows in (("features", ROWS[:, :3]), ("spatial", ROWS[:, 3:])):
        gaussian = reference.gaussian(column)
        torch.testing.assert_close(gaussian.mean, rows.double().mean(dim=0), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gaussian.covariance, rows.double().T.cov(), rtol=1e-11, atol=1e-14)
    assert not (tmp_path / "cache").exists()  # without a fingerprint there is nothing to find it by
    with pytest.raises(ValueError, match="no statistics of logits, only of features, spatial"):
        reference.gaussian("logits")


def test_the_second_time_no_row_is_read(tmp_path):
    cache = StatisticsCache(tmp_path)
    expected = FeatureReference(features("abc"), cache).gaussian("spatial")
    unreadable = features("abc")
    unreadable.parts.clear()
    found = FeatureReference(unreadable, cache).gaussian("spatial")
    assert torch.equal(found.covariance, expected.covariance)
    other = FeatureReference(features("other"), cache)
    other.gaussian("spatial")
    other.gaussian("features")
    assert len(list(tmp_path.iterdir())) == 3


def test_published_statistics():
    gaussian = Gaussian(torch.zeros(3), torch.eye(3), 0)
    reference = PublishedStatistics({"features": gaussian})
    assert (reference.count, reference.columns, reference.features) == (0, {"features"}, None)
    assert reference.gaussian("features").covariance.dtype == torch.float64
    with pytest.raises(ValueError, match="no statistics of spatial, only of features"):
        reference.gaussian("spatial")
    with pytest.raises(ValueError, match=r"mean of spatial is \[3\] and its covariance \[2, 2\]"):
        PublishedStatistics({"features": gaussian, "spatial": Gaussian(torch.zeros(3), torch.eye(2), 0)})
    with pytest.raises(ValueError, match="no Gaussian"):
        PublishedStatistics({})
