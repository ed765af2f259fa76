"""Cached reference statistics: found by content, recomputed when damaged."""

import pytest
import torch
from torch import nn

from difflab.data import ArrayImages
from difflab.data.subset import Spread
from difflab.evaluation import ReferenceStatistics, StatisticsCache
from difflab.features import DigitsExtractor, FeatureExtractor, Features, Identity
from difflab.metrics import Gaussian


class Pixels(FeatureExtractor):
    """The 4 pixels of a 2x2 grey image are its features. Counts the images it has seen."""

    def __init__(self, preprocessing: str = "none"):
        super().__init__(Identity("pixels", 4, preprocessing, num_classes=2), nn.Identity())
        self.seen = 0

    def _extract(self, images: torch.Tensor) -> Features:
        self.seen += len(images)
        pixels = images.flatten(1).float()
        return Features(pixels, pixels[:, :2])


class Source:
    def __init__(self, seed: int = 0, n: int = 100):
        self.pixels = torch.randint(
            0, 256, (n, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
        )
        self.fingerprint = f"random-{seed}"
        self.labels = None

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices):
        return self.pixels[indices]


def equal(a: Gaussian, b: Gaussian) -> bool:
    return torch.equal(a.mean, b.mean) and torch.equal(a.covariance, b.covariance) and a.count == b.count


@pytest.fixture
def cache(tmp_path) -> StatisticsCache:
    return StatisticsCache(tmp_path / "cache")


def test_the_second_time_no_image_is_looked_at(cache):
    first, second = Pixels(), Pixels()
    computed = ReferenceStatistics(Source(), first, cache=cache, batch_size=33).gaussians(["features"])["features"]
    cached = ReferenceStatistics(Source(), second, cache=cache).gaussians(["features"])["features"]
    assert (first.seen, second.seen) == (100, 0)
    assert equal(computed, cached)
    torch.testing.assert_close(
        computed.covariance, torch.cov(Source().pixels.flatten(1).double().T), rtol=1e-12, atol=0
    )


def test_other_content_is_another_entry(cache):
    ReferenceStatistics(Source(), Pixels(), cache=cache).gaussians(["features"])["features"]
    for source, extractor in (
        (Source(seed=1), Pixels()),
        (Source(), Pixels("other")),
        (Spread(Source(), 40), Pixels()),
    ):
        ReferenceStatistics(source, extractor, cache=cache).gaussians(["features"])["features"]
        assert extractor.seen == len(source)
    assert len(list(cache.folder.iterdir())) == 4


def test_a_part_is_spread_over_the_source(cache):
    source = Source()
    gaussian = ReferenceStatistics(Spread(source, 4), Pixels(), cache=cache).gaussians(["features"])["features"]
    assert torch.equal(gaussian.mean, source.pixels[[0, 25, 50, 75]].flatten(1).double().mean(dim=0))


@pytest.mark.parametrize("damage", ["truncated", "a bit flipped", "foreign", "other fields"])
def test_a_damaged_entry_is_computed_again_with_a_warning(cache, damage):
    extractor = Pixels()
    statistics = ReferenceStatistics(Source(), extractor, cache=cache)
    expected = statistics.gaussians(["features"])["features"]
    path = cache.path(statistics.fields)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "a bit flipped":
        content[-3] ^= 16
    elif damage == "foreign":
        content = bytearray(b"not safetensors at all")
    else:
        other = ReferenceStatistics(Source(seed=1), Pixels(), cache=cache)
        other.gaussians(["features"])["features"]
        content = bytearray(cache.path(other.fields).read_bytes())
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        again = statistics.gaussians(["features"])["features"]
    assert equal(again, expected)
    assert equal(
        ReferenceStatistics(Source(), Pixels(), cache=cache).gaussians(["features"])["features"], expected
    )  # mended, no warning
    assert extractor.seen == 200


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    statistics = ReferenceStatistics(Source(), Pixels(), cache=StatisticsCache(tmp_path / "file"))
    with pytest.warns(UserWarning, match="DIFFLAB_CACHE"):
        assert statistics.gaussians(["features"])["features"].count == 100


def test_nothing_half_written_is_left(cache):
    ReferenceStatistics(Source(), Pixels(), cache=cache).gaussians(["features"])["features"]
    assert [p.suffix for p in cache.folder.iterdir()] == [".safetensors"]


def test_the_default_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path))
    assert StatisticsCache().folder == tmp_path


@pytest.mark.parametrize("n", [1, 101])
def test_too_few_or_too_many_images(n):
    with pytest.raises(ValueError, match="choose 2 to 100"):
        Spread(Source(), n)


def test_columns_are_summed_in_one_pass_and_cached_each(cache):
    first, second, third = DigitsExtractor(), DigitsExtractor(), DigitsExtractor()
    source = ArrayImages(torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0)))
    found = ReferenceStatistics(source, first, cache=cache, batch_size=7).gaussians(["spatial", "features"])
    again = ReferenceStatistics(source, second, cache=cache).gaussians(["features", "spatial"])
    extracted = third(source.images(range(50)))
    for column, expected in (("features", extracted.features), ("spatial", extracted.spatial)):
        assert equal(found[column], again[column])
        torch.testing.assert_close(found[column].covariance, torch.cov(expected.double().T), rtol=1e-4, atol=1e-6)
    assert len(list(cache.folder.iterdir())) == 2
