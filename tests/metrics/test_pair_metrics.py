"""Metrics of each image and its original, on arrays whose values are known."""

import math
from urllib.error import URLError

import pytest
import torch
import torchvision
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from difflab.conditioning import LowResolution
from difflab.conditioning.augmentations import Unchanged
from difflab.conditioning.shrinks import Area
from difflab.data import Shuffled
from difflab.evaluation.image_metrics import ImageMetrics
from difflab.features import DigitsExtractor
from difflab.metrics import Consistency, FeatureDistance, LearnedPerceptual, PeakSignalToNoise, StructuralSimilarity
from difflab.sampling import GivenImages


class Stored:
    """A LabelledSource in memory."""

    fingerprint = "stored"
    labels = None

    def __init__(self, pixels: torch.Tensor):
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices) -> torch.Tensor:
        return self.pixels[torch.as_tensor(indices)]


def random_pixels(seed: int, count: int = 7, channels: int = 3, size: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


ORIGINALS = random_pixels(0)
IMAGES = (ORIGINALS.int() + torch.randint(-40, 41, ORIGINALS.shape, generator=torch.Generator().manual_seed(1))).clamp(
    0, 255
)
IMAGES = IMAGES.to(torch.uint8)
INDEX = torch.arange(7)


def given(pixels: torch.Tensor = ORIGINALS, small: int = 4, size: int = 16) -> GivenImages:
    channels = pixels.shape[1]
    return GivenImages(Stored(pixels), LowResolution(small, Area(), Unchanged(), channels), (channels, size, size))


def of_pairs(*metrics) -> ImageMetrics:
    return ImageMetrics({metric.name: metric for metric in metrics}, None, 2)


def test_psnr_is_ten_logarithms_of_the_mean_squared_error_and_torchmetrics():
    values = PeakSignalToNoise().values(IMAGES, given(), INDEX)
    for i in range(7):
        error = sum((int(a) - int(b)) ** 2 for a, b in zip(IMAGES[i].flatten(), ORIGINALS[i].flatten(), strict=True))
        assert values[i].item() == pytest.approx(10 * math.log10(255**2 / (error / 768)), abs=1e-5)
        theirs = PeakSignalNoiseRatio(data_range=255.0)(IMAGES[i : i + 1].double(), ORIGINALS[i : i + 1].double())
        assert values[i].item() == pytest.approx(theirs.item(), abs=1e-4)


def test_psnr_of_an_equal_image_is_that_of_a_single_wrong_value():
    nearly = ORIGINALS.clone()
    nearly[:, 0, 0, 0] ^= 1  # by one level
    same, near = (PeakSignalToNoise().values(x, given(), INDEX) for x in (ORIGINALS, nearly))
    torch.testing.assert_close(same, near)
    assert same[0].item() == pytest.approx(10 * math.log10(255**2 * 768), abs=1e-5)


def test_ssim_is_torchmetrics_image_by_image():
    values = StructuralSimilarity().values(IMAGES, given(), INDEX)
    one = StructuralSimilarityIndexMeasure(data_range=255.0)
    theirs = [one(IMAGES[i : i + 1].double(), ORIGINALS[i : i + 1].double()).item() for i in range(7)]
    assert values.tolist() == pytest.approx(theirs, abs=1e-6)  # it adds up in float32
    assert StructuralSimilarity().values(ORIGINALS, given(), INDEX).tolist() == pytest.approx([1] * 7)
    # constant images: (2 a b + c_1) / (a^2 + b^2 + c_1), the second factor being 1
    flat = torch.full((1, 1, 16, 16), 100, dtype=torch.uint8)
    c1 = (0.01 * 255) ** 2
    value = StructuralSimilarity().values(flat, given(torch.full_like(flat, 150)), torch.tensor([0])).item()
    assert value == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def test_ssim_says_how_small_a_window_must_be():
    pairs = given(random_pixels(0, size=8), size=8)
    with pytest.raises(ValueError, match=r"11 x 11 pixels, and the images 8 x 8.*deviation"):
        StructuralSimilarity().values(random_pixels(1, size=8), pairs, INDEX)
    assert StructuralSimilarity(0.8).values(random_pixels(1, size=8), pairs, INDEX).isfinite().all()


def test_consistency_is_zero_for_what_shrinks_to_the_given_image():
    """Whatever the details: pixels moved about within their 4 x 4 block leave its mean."""
    moved = ORIGINALS.reshape(7, 3, 4, 4, 4, 4).flip(3).flip(5).reshape(ORIGINALS.shape)
    assert not torch.equal(moved, ORIGINALS)
    assert Consistency().values(moved, given(), INDEX).abs().max() < 1e-12
    brighter = torch.full((1, 1, 16, 16), 120, dtype=torch.uint8), torch.full((1, 1, 16, 16), 100, dtype=torch.uint8)
    value = Consistency().values(brighter[0], given(brighter[1]), torch.tensor([0])).item()
    assert value == pytest.approx((20 / 127.5) ** 2, rel=1e-5)


def test_consistency_needs_no_original():
    small = given().small(INDEX)
    as_bytes = ((small + 1) * 127.5).round().to(torch.uint8)
    pairs = given(as_bytes)
    assert not pairs.has_originals
    assert Consistency().values(ORIGINALS, pairs, INDEX).max() < (1 / 127.5) ** 2
    with pytest.raises(ValueError, match="psnr needs the originals"):
        of_pairs(PeakSignalToNoise()).prepare(7, pairs)
    with pytest.raises(ValueError, match="psnr compares each image"):
        of_pairs(PeakSignalToNoise()).prepare(7, None)


def test_feature_distance_is_an_angle():
    digits, other = random_pixels(0, channels=1, size=8), random_pixels(1, channels=1, size=8)
    pairs, extractor = given(digits, size=8), DigitsExtractor()
    metric = FeatureDistance(extractor)
    assert metric.name == "feature_distance_digits"
    assert metric.values(digits, pairs, INDEX).abs().max() < 1e-6
    f, g = extractor(other).features.double(), extractor(digits).features.double()
    expected = [1 - (f[i] @ g[i] / f[i].norm() / g[i].norm()).item() for i in range(7)]
    assert metric.values(other, pairs, INDEX).tolist() == pytest.approx(expected)


def test_lpips_takes_torchvisions_backbone(monkeypatch):
    torch.manual_seed(0)
    weights = torchvision.models.alexnet(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *a, **k: weights)
    big, pairs = random_pixels(2, 2, size=64), given(random_pixels(2, 2, size=64), size=64)
    noised = (big.int() + 8).clamp(0, 255).to(torch.uint8), (big.int() + 60).clamp(0, 255).to(torch.uint8)
    metric, index = LearnedPerceptual("alex"), torch.arange(2)
    assert metric.name == "lpips_alex"
    assert metric.values(big, pairs, index).abs().max() == 0
    little, much = (metric.values(x, pairs, index) for x in noised)
    assert (little > 0).all()
    assert (little < much).all()


def test_lpips_without_its_weights_says_what_to_do(monkeypatch):
    def refused(*arguments, **options):
        raise URLError("no route")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", refused)
    with pytest.raises(ValueError, match=r"lpips_alex: .*no route.*feature_distance"):
        _ = LearnedPerceptual("alex").networks


def test_the_mean_and_its_standard_error_do_not_depend_on_batches():
    whole, parts = PeakSignalToNoise(), PeakSignalToNoise()
    whole.update(IMAGES, given(), INDEX)
    for rows in (slice(3, 5), slice(0, 3), slice(5, 7)):
        parts.update(IMAGES[rows], given(), INDEX[rows])
    assert parts.compute() == whole.compute()
    values = PeakSignalToNoise().values(IMAGES, given(), INDEX)
    assert whole.compute().item() == pytest.approx(values.mean().item())
    assert whole.standard_error() == pytest.approx(values.std().item() / math.sqrt(7))
    measuring = of_pairs(PeakSignalToNoise(), Consistency())
    measuring.prepare(7, given())
    found = measuring.measure(Stored(IMAGES), {"sampler": "DDIM"})
    assert [m.metric for m in found] == ["psnr", "consistency"]
    assert found[0].value == pytest.approx(values.mean().item())
    assert found[0].protocol.fields["sampler"] == "DDIM"
    interval = found[0].interval()
    assert interval is not None
    assert interval[0] < found[0].value < interval[1]
    parts.update(IMAGES[:1], given(), INDEX[:1])
    with pytest.raises(ValueError, match=r"1 came more than once, the first is 0 \(2 times\)"):
        parts.compute()


def test_psnr_and_ssim_are_better_when_higher():
    metrics = (PeakSignalToNoise(), StructuralSimilarity(), Consistency(), LearnedPerceptual())
    assert [metric.info().higher_is_better for metric in metrics] == [True, True, False, False]


def test_shuffled_images_keep_their_order_when_there_are_more():
    source = Stored(random_pixels(3, 50))
    shuffled = Shuffled(source)
    order = [next(i for i in range(50) if torch.equal(source.pixels[i], x)) for x in shuffled.images(range(50))]
    assert sorted(order) == list(range(50))
    assert order != list(range(50))
    assert torch.equal(shuffled.images([3, 1]), source.pixels[[order[3], order[1]]])
