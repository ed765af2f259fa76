"""The arranged InceptionV3 against torch-fidelity's, layer order and all."""

import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from difflab.features.inception_network import InceptionNetwork, tensorflow_bilinear


@pytest.mark.parametrize("shape", [(32, 32), (64, 48), (299, 299), (512, 400), (1, 5)])
def test_the_resize_is_torch_fidelitys_to_the_last_bit(shape):
    images = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    assert torch.equal(tensorflow_bilinear(images, 299, 299), expected)
    narrow = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(7, 40), align_corners=False)
    assert torch.equal(tensorflow_bilinear(images, 7, 40), narrow)


@pytest.fixture(scope="module")
def theirs() -> FeatureExtractorInceptionV3:
    """With random weights that keep signals alive, and batch norms that do something."""
    generator = torch.Generator().manual_seed(0)
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"])
    network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.normal_(std=(2 / module.weight[0].numel()) ** 0.5, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.7, 1.3, generator=generator)
            module.bias.normal_(std=0.2, generator=generator)
            statistics = dict(module.named_buffers())
            statistics["running_mean"].normal_(std=0.2, generator=generator)
            statistics["running_var"].uniform_(0.5, 2, generator=generator)
            statistics["num_batches_tracked"].zero_()
    network.fc.bias.zero_()
    return network


def test_outputs_are_torch_fidelitys(theirs):
    """To 1e-5 of their size; a batch norm, an average or a branch in a wrong place moves them by more than 1e-2."""
    images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    seen = {}
    theirs.Mixed_6d.branch1x1.register_forward_hook(lambda module, inputs, output: seen.update(mixed_6=output))
    with torch.no_grad():
        pooled, logits = theirs(images)
        found = InceptionNetwork(theirs.state_dict())(images)
    for ours, expected in ((found.pooled, pooled), (found.logits, logits), (found.mixed_6, seen["mixed_6"])):
        assert ours.shape == expected.shape
        assert expected.std() > 0.05
        assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_missing_or_misshapen_tensor_is_named(theirs):
    state = theirs.state_dict()
    without = {name: value for name, value in state.items() if name != "Mixed_6b.branch7x7_2.bn.running_var"}
    with pytest.raises(KeyError, match=r"Mixed_6b.branch7x7_2.bn.running_var is missing"):
        InceptionNetwork(without)
    with pytest.raises(ValueError, match=r"fc.weight has the shape \[1000, 2048\], expected \[1008, 2048\]"):
        InceptionNetwork(state | {"fc.weight": torch.zeros(1000, 2048)})
