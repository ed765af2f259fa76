"""The features of a thumbnail, from what is known of the image."""

import torch

from difflab.features import ThumbnailExtractor


def test_features_are_the_means_of_cells():
    extractor = ThumbnailExtractor()
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[0, 0, :4, :4] = 255  # the first cell is red
    image[0, 2, 28:, 28:30] = 255  # half of the last one is blue
    features = extractor(image).features.view(3, 8, 8)
    expected = torch.full((3, 8, 8), -1.0)
    expected[0, 0, 0], expected[2, 7, 7] = 1, 0
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)


def test_any_size_and_grey_are_taken():
    extractor = ThumbnailExtractor()
    for shape in ((1, 8, 8), (1, 28, 28), (3, 33, 50), (3, 4, 4)):
        extractor.check(shape)
        grey = torch.full((2, *shape), 102, dtype=torch.uint8)
        torch.testing.assert_close(extractor(grey).features, torch.full((2, 192), -0.2), rtol=0, atol=1e-6)
