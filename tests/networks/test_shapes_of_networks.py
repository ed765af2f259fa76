"""Networks of rectangular images, of points and of vectors."""

import pytest
import torch
from hydra.utils import instantiate
from PIL import Image

import running
from difflab.data.image_file import adm_crop
from difflab.networks import MLP
from difflab.types import Condition


def unet(*words: str):
    config = running.composed("train", "network.width=16", "network.channel_mult=[1,2]", "network.depth=1", *words)
    return instantiate(config.network)


def test_a_unet_of_rectangular_images():
    network = unet("data.image_size=[8,12]", "network.attention_resolutions=[4]", "embedder=none")
    out = network(torch.randn(2, 1, 8, 12), torch.zeros(2), Condition())
    assert out.shape == (2, 2, 8, 12)
    with pytest.raises(Exception, match=r"image_size=\[8, 9\] cannot be halved 1 times"):
        unet("data.image_size=[8,9]", "network.attention_resolutions=[]")
    with pytest.raises(Exception, match="convolutions over images need two"):
        unet("data.image_size=[]", "network.attention_resolutions=[]")


@pytest.mark.parametrize("size", [(), (3,), (2, 4), (2, 3, 4)])
def test_a_perceptron_of_any_shape(size):
    network = MLP(size, 2, 4, embedders={}, width=16, depth=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    x = torch.randn(3, 2, *size)
    out = network(x, torch.arange(3.0), Condition())
    assert out.shape == (3, 4, *size)
    again = network(x[1:2], torch.ones(1), Condition())
    torch.testing.assert_close(out[1:2], again)
    assert not torch.allclose(out[:1], network(x[:1], torch.ones(1), Condition()))


def test_images_are_cropped_to_rectangles():
    image = Image.new("L", (40, 20), 10)
    image.paste(200, (15, 0, 25, 20))
    assert adm_crop(image, (10, 6)).size == (6, 10)
    found = adm_crop(image, (10, 5))
    assert found.getpixel((2, 5)) == 200
