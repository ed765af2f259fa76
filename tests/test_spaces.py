"""Spaces: what is encoded is decoded, shapes that do not go together are refused, frozen weights are known by their content."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from difflab.data import ArrayImages
from difflab.data.decoded import seen_in
from difflab.noise import ImageNoise
from difflab.spaces import FirstStage, Latents, Pixels, Points, Videos


class Pooled(FirstStage):
    """Means of 2 x 2 pixels of grey images."""

    image_channels, channels, factor = 1, 1, 2

    def __init__(self, std: float = 0.0):
        super().__init__()
        self.gain, self.std = nn.Parameter(torch.tensor(3.0)), std

    def encode(self, images):
        mean = self.gain * F.avg_pool2d(images, 2)
        return mean, torch.full_like(mean, self.std) if self.std else None

    def decode(self, latents):
        return F.interpolate(latents / self.gain, scale_factor=2)


class StoredLatents(ArrayImages):
    """Latents, as a first stage made them."""

    def __init__(self, latents):
        super().__init__(torch.zeros(latents.shape, dtype=torch.uint8))
        self.latents, self.is_encoded = latents, True

    def images(self, indices):
        return self.latents[torch.as_tensor(indices)]


def noise(count: int, seed: int = 0) -> ImageNoise:
    return ImageNoise(seed, torch.arange(count))


def test_what_is_encoded_is_decoded():
    blocks = torch.randn(5, 1, 4, 6).repeat_interleave(2, 2).repeat_interleave(2, 3)
    space = Latents(Pooled(), channels=1, factor=2, scale=0.25, shift=[0.5])
    x_0 = space.encode(blocks, noise(5))
    torch.testing.assert_close(x_0, (3 * blocks[:, :, ::2, ::2] - 0.5) * 0.25)
    torch.testing.assert_close(space.decode(x_0), blocks)
    assert not x_0.requires_grad
    for plain in (Pixels(), Videos(), Points()):
        assert plain.decode(plain.encode(blocks, noise(5))) is blocks


def test_a_posterior_is_drawn_by_image():
    images = torch.randn(4, 1, 8, 8)
    space = Latents(Pooled(std=0.5), channels=1, factor=2)
    together = space.encode(images, noise(4))
    alone = space.encode(images[2:3], ImageNoise(0, torch.tensor([2])))
    assert torch.equal(together[2:3], alone)
    assert not torch.equal(together, space.encode(images, noise(4, seed=1)))
    deviation = (together - 3 * F.avg_pool2d(images, 2)).std()
    assert 0.3 < deviation < 0.7


def test_shapes_that_do_not_go_together_are_refused():
    space = Latents(Pooled(), channels=1, factor=2)
    assert space.encoded_shape((1, 8, 12)) == (1, 4, 6)
    assert space.decoded_shape((1, 4, 6)) == (1, 8, 12)
    space.check((1, 4, 6), (1, 8, 12))
    with pytest.raises(ValueError, match="data of 1x8x8 are 1x4x4 in Latents, and the model is of 1x8x8"):
        space.check((1, 8, 8), (1, 8, 8))
    with pytest.raises(ValueError, match="multiples of 2, and the data are 1x7x8"):
        space.encoded_shape((1, 7, 8))
    with pytest.raises(ValueError, match=r"set space\.channels=1 space\.factor=2"):
        Latents(Pooled(), channels=4, factor=8)
    with pytest.raises(ValueError, match="must be positive"):
        Latents(Pooled(), channels=1, factor=2, scale=0.0)


def test_frozen_weights_are_known_by_their_content():
    first, other = Pooled(), Pooled()
    spaces = [Latents(stage, channels=1, factor=2) for stage in (first, other)]
    assert spaces[0].fingerprint == spaces[1].fingerprint
    other.gain.data += 1
    assert spaces[0].fingerprint != spaces[1].fingerprint
    assert not any(p.requires_grad for p in first.parameters())
    assert not Pixels().fingerprint


def test_stored_latents_are_seen_through_their_decoder():
    latents = torch.randn(6, 1, 4, 4)
    data, space = StoredLatents(latents), Latents(Pooled(), channels=1, factor=2, scale=0.25, encoded=True)
    seen = seen_in(space, data)
    torch.testing.assert_close(seen.images([4, 1]), Pooled().decode(latents[[4, 1]]))
    assert len(seen) == 6
    assert seen.fingerprint != data.fingerprint
    assert seen_in(Pixels(), data) is data
    torch.testing.assert_close(space.encode(latents, noise(6)), 0.25 * latents)


def test_a_picture_of_clips_shows_their_frames_and_one_of_points_a_cloud():
    clips = torch.zeros(2, 1, 3, 64, 64, dtype=torch.uint8)
    clips[0, 0, 1] = 255
    picture = Videos().picture(clips, 0)
    assert picture.shape[2] >= 3 * 64
    assert (picture[:, 4:60, 70:126] == 1).all()
    cloud = Points().picture(torch.randn(500, 2), 0)
    assert cloud.shape[0] == 3
    assert 0.2 < cloud.min() < cloud.max() == 1 or cloud.min() < 0.2
    assert torch.isfinite(Points().picture(torch.full((3, 2), torch.nan), 0)).all()
