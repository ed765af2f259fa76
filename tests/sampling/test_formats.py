"""Every format is read back by its readers and gives the same images and labels."""

import io
import json
import multiprocessing
import tarfile
import tracemalloc
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from difflab.data import ImageFolder, ImageZip
from difflab.features import to_uint8, to_uint8_truncated
from difflab.sampling import ShardFolder, Shards
from difflab.sampling.formats import Folder, Format, Npz, WebDataset, Zip, check_pictures, encoded

CONF = Path(__file__).parents[2] / "conf"


def made(path, channels=3, count=10, labelled=True, size=4, side=8) -> Shards:
    """Random images in shards, more of them than the set has."""
    folder = ShardFolder(path / "shards", size)
    folder.path.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for k in range(-(-count // size)):
        images = torch.randint(256, (size, channels, side, side), generator=generator).to(torch.uint8)
        folder.write(k, images, (k * size + torch.arange(size)) * 7 % 12 if labelled else None)
    return Shards(folder, count)


@pytest.fixture(params=[(3, True), (1, True), (3, False)], ids=["rgb", "grey", "unlabelled"])
def shards(request, tmp_path) -> Shards:
    return made(tmp_path, *request.param[:1], labelled=request.param[1])


def pixels(shards: Shards) -> torch.Tensor:
    return shards.images(range(len(shards)))


def test_npz_is_numpys_own(shards, tmp_path):
    path = Npz().write(shards, tmp_path)
    c, h, w = shards.shape
    assert path.name == f"samples_10x{h}x{w}x{c}.npz"
    archive = np.load(path)
    assert archive["arr_0"].dtype == np.uint8
    assert np.array_equal(archive["arr_0"], pixels(shards).permute(0, 2, 3, 1).numpy())
    if shards.labels is None:
        assert archive.files == ["arr_0"]
    else:
        assert archive["arr_1"].dtype == np.int64
        assert np.array_equal(archive["arr_1"], shards.labels.numpy())


@pytest.mark.parametrize("format", [Folder(), Zip()], ids=["folder", "zip"])
def test_our_data_sets_read_them(shards, tmp_path, monkeypatch, format):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    path = format.write(shards, tmp_path)
    reader = (ImageFolder if path.is_dir() else ImageZip)(path, image_size=8, channels=shards.shape[0])
    assert len(reader) == 10
    assert torch.equal(reader.images(range(10)), pixels(shards))
    if shards.labels is None:
        assert reader.labels is None
    else:
        assert torch.equal(reader.labels, shards.labels)


def test_the_zip_is_edms(tmp_path):
    shards = made(tmp_path)
    with zipfile.ZipFile(Zip().write(shards, tmp_path)) as archive:
        assert archive.namelist() == [*(f"00000/img{i:08d}.png" for i in range(10)), "dataset.json"]
        assert json.loads(archive.read("dataset.json"))["labels"][9] == ["00000/img00000009.png", 63 % 12]


def test_a_thousand_images_to_a_folder(tmp_path):
    path = Folder().write(made(tmp_path, count=2001, size=1000, side=2, channels=1), tmp_path)
    assert [len(list((path / f"{k:05d}").iterdir())) for k in range(3)] == [1000, 1000, 1]


def test_tars_hold_pairs_in_order(shards, tmp_path):
    path = WebDataset(images_per_tar=6).write(shards, tmp_path)
    read = []
    for file in sorted(path.iterdir()):
        with tarfile.open(file) as tar:
            read.append([(entry.name, tar.extractfile(entry).read()) for entry in tar])
    names = [[name for name, _ in entries if name.endswith(".png")] for entries in read]
    assert names == [[f"{i:06d}.png" for i in range(6)], [f"{i:06d}.png" for i in range(6, 10)]]
    content = dict(entry for entries in read for entry in entries)
    for i, image in enumerate(pixels(shards)):
        found = np.asarray(Image.open(io.BytesIO(content[f"{i:06d}.png"])))
        assert np.array_equal(found.reshape(8, 8, -1), image.permute(1, 2, 0).numpy())
        if shards.labels is None:
            assert f"{i:06d}.cls" not in content
        else:
            assert int(content[f"{i:06d}.cls"]) == shards.labels[i]


@pytest.mark.parametrize("format", [Npz(), Zip(), Folder(), WebDataset(4)])
def test_a_format_is_written_whole_or_not_at_all(tmp_path, monkeypatch, format: Format):
    shards = made(tmp_path)
    before = format.write(shards, tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    content = [path.read_bytes() for path in files]
    monkeypatch.setattr(Shards, "batches", failing)
    with pytest.raises(OSError, match="No space"):
        format.write(shards, tmp_path)
    assert before.exists()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == files
    assert [path.read_bytes() for path in files] == content


def failing(self):
    yield 0, self.images(range(4))
    raise OSError(28, "No space left on device")


def memory_taken(path, format):
    """Bytes at the most while 12 MiB of images are written, of which a shard has 768 KiB."""
    folder = ShardFolder(path / "shards", 64)
    folder.path.mkdir()
    image = torch.randint(256, (64, 3, 64, 64), dtype=torch.uint8)
    for k in range(16):
        folder.write(k, image, torch.zeros(64, dtype=torch.int64))
    tracemalloc.start()
    format.write(Shards(folder, 16 * 64), path)
    return tracemalloc.get_traced_memory()[1]


@pytest.mark.parametrize("format", [Npz(), Zip(), WebDataset(10_000)])
def test_memory_does_not_grow_with_the_set(tmp_path, format):
    """In a process of its own: here threads of other tests may take some meanwhile."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        assert process.submit(memory_taken, tmp_path, format).result() < 6 * 2**20


def test_equal_sets_are_equal_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for format in (Npz(), Zip(), WebDataset(4)):
            format.write(made(tmp_path / name / type(format).__name__), tmp_path / name)
    for name in ("samples_10x8x8x3.npz", "images.zip", "webdataset/000000.tar"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_format_refuses_what_it_cannot_hold():
    check_pictures({"npz": Npz()}, (4, 8, 8))
    with pytest.raises(ValueError, match=r"format=zip.*the shape \[4, 8, 8\]"):
        check_pictures({"npz": Npz(), "zip": Zip()}, (4, 8, 8))
    with pytest.raises(ValueError, match="images_per_tar=0"):
        WebDataset(0)


def test_every_file_of_the_groups_makes_what_it_names():
    for path in (CONF / "format").glob("*.yaml"):
        node = OmegaConf.load(path)
        assert path.stem == "none" or isinstance(instantiate(node), Format)
        assert path.read_text(encoding="utf-8").startswith("# @package format")
    x = torch.full((1, 1, 1, 1), 0.999)
    levels = {p.stem: instantiate(OmegaConf.load(p))(x).item() for p in (CONF / "quantization").glob("*.yaml")}
    assert levels == {"rounded": to_uint8(x).item(), "truncated": to_uint8_truncated(x).item()}
    assert levels["rounded"] != levels["truncated"]


def test_png_keeps_every_level():
    image = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded(image)))), image[0].numpy())
