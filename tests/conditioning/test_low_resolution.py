"""Small images: how they are made, and the noise on them."""

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.conditioning import LowResolution, low_resolution_of
from difflab.conditioning.augmentations import AddedNoise, ForwardNoise, Unchanged
from difflab.conditioning.shrinks import Area, Bicubic
from difflab.data import ArrayImages, HorizontalFlip, ImageData
from difflab.noise import ImageNoise
from difflab.schedules import cosine
from difflab.types import Condition, GivenImage, Label

NUMBER = torch.arange(6)
X0 = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def low(augmentation=None, size: int = 4, shrink=None) -> LowResolution:
    return LowResolution(size, shrink or Area(), augmentation or Unchanged(), channels=3)


def test_area_is_the_mean_of_the_pixels_that_become_one():
    expected = X0.reshape(6, 3, 4, 4, 4, 4).mean(dim=(3, 5))
    torch.testing.assert_close(Area()(X0, 4), expected)


def test_bicubic_is_that_of_an_image_library():
    """Pillow's, which has no aliasing either, but rounds to levels; a fifth of a level is its rounding of weights."""
    pixels = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    theirs = np.asarray(Image.fromarray(pixels.numpy()).resize((4, 4), Image.Resampling.BICUBIC)).astype(np.float32)
    ours = (Bicubic()(pixels.permute(2, 0, 1)[None].float() / 127.5 - 1, 4)[0].permute(1, 2, 0) + 1) * 127.5
    assert (ours - torch.from_numpy(theirs)).abs().max() < 1.0
    aliased = torch.nn.functional.interpolate(pixels.permute(2, 0, 1)[None].float(), (4, 4), mode="bicubic")[0]
    assert (aliased.permute(1, 2, 0) - torch.from_numpy(theirs)).abs().max() > 20


def test_a_bicubic_edge_stays_within_the_range_of_images():
    edge = torch.where(torch.arange(32) < 17, -1.0, 1.0).expand(1, 1, 32, 32)
    assert Bicubic()(edge, 8).abs().max() == 1


def test_the_condition_is_made_of_the_image_and_keeps_its_class():
    cond = low()(Condition(label=Label(NUMBER)), X0, ImageNoise(0, NUMBER))
    assert torch.equal(Label.of(cond).number, NUMBER)
    torch.testing.assert_close(GivenImage.of(cond).values, Area()(X0, 4))
    assert GivenImage.of(cond).level is None


def test_a_mirrored_image_has_a_mirrored_small_one():
    """Augmentations come first, whatever the batch."""
    pixels = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    data = ImageData(ArrayImages(pixels), 8, 16, 3, 0, seed=3, augmentations=[HorizontalFlip()])
    batch = data.on_after_batch_transfer(data.stream[list(range(8))], 0)
    small = low()(batch.cond, batch.x0, ImageNoise(3, batch.number)).get("image").values
    originals = Area()(pixels[data.stream.indices(batch.number)].float() / 127.5 - 1, 4)
    mirrored = [not torch.allclose(a, b) for a, b in zip(small, originals, strict=True)]
    assert 0 < sum(mirrored) < 8
    for is_mirrored, one, original in zip(mirrored, small, originals, strict=True):
        torch.testing.assert_close(one, original.flip(-1) if is_mirrored else original)


@pytest.mark.parametrize("augmentation", [AddedNoise(0.5, 0.1), ForwardNoise(cosine(1000), 0.6, 0.1)])
def test_the_noise_on_small_images_does_not_depend_on_the_batch(augmentation):
    conditioning = low(augmentation)
    whole = conditioning(Condition(), X0, ImageNoise(7, NUMBER))
    for part in ([0, 1], [2, 3, 4], [5]):
        some = conditioning(Condition(), X0[part], ImageNoise(7, NUMBER[part]))
        assert torch.equal(GivenImage.of(some).values, GivenImage.of(whole).values[part])
        assert torch.equal(GivenImage.of(some).level, GivenImage.of(whole).level[part])
    other = conditioning(Condition(), X0, ImageNoise(8, NUMBER))
    assert not torch.equal(GivenImage.of(whole).level, GivenImage.of(other).level)


def test_added_noise_has_the_level_that_the_network_is_told():
    number = torch.arange(4000)
    image, level = AddedNoise(0.5)(torch.zeros(4000, 1, 4, 4), ImageNoise(0, number))
    assert 0 <= level.min() < 0.01
    assert 0.49 < level.max() <= 0.5
    assert level.mean().item() == pytest.approx(0.25, abs=0.01)
    standardised = image.double() / level[:, None, None, None]
    assert standardised.std().item() == pytest.approx(1, abs=0.01)


def test_forward_noise_keeps_the_variance():
    """alpha^2 + sigma^2 = 1 along the schedule, and level = sigma."""
    number, x = torch.arange(4000), torch.full((4000, 1, 4, 4), 0.8)
    schedule = cosine(1000)
    image, level = ForwardNoise(schedule, max_time=1.0)(x, ImageNoise(0, number))
    alpha = (1 - level**2).sqrt()
    eps = (image.double() - alpha[:, None, None, None] * 0.8) / level[:, None, None, None]
    assert eps[level > 0.05].std().item() == pytest.approx(1, abs=0.01)
    assert level.median().item() == pytest.approx(schedule(torch.tensor([0.5]).double()).sigma.item(), abs=0.03)
    truncated = ForwardNoise(schedule, max_time=0.25)(x, ImageNoise(0, number))[1]
    assert truncated.max() <= schedule(torch.tensor([0.25]).double()).sigma.item()


def test_in_sampling_the_level_is_fixed_and_zero_trusts_the_image():
    noise = ImageNoise(0, NUMBER)
    small = Area()(X0, 4)
    trusted = low(AddedNoise(0.5, 0.0)).given(Condition(), small, noise)
    assert torch.equal(GivenImage.of(trusted).values, small)
    assert GivenImage.of(trusted).level is not None
    assert not GivenImage.of(trusted).level.any()
    noised = low(AddedNoise(0.5, 0.25)).given(Condition(), small, noise)
    assert (GivenImage.of(noised).level == 0.25).all()  # type: ignore[union-attr]
    assert ((GivenImage.of(noised).values - small).std() / 0.25).item() == pytest.approx(1, abs=0.1)
    forward = low(ForwardNoise(cosine(1000), 1.0, 0.0)).given(Condition(), small, noise)
    assert torch.equal(GivenImage.of(forward).values, small)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: low(size=0), "size=0"),
        (lambda: low(size=16)(Condition(), X0, ImageNoise(0, NUMBER)), "16 pixels cannot be made smaller"),
        (lambda: AddedNoise(0.2, 0.3), "level=0.3"),
        (lambda: ForwardNoise(cosine(10), 1.5), "max_time=1.5"),
        (lambda: low_resolution_of({"a": low(), "b": low()}), "2 conditionings"),
    ],
)
def test_what_does_not_fit_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()
