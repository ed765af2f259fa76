"""The same images in every form, and every way to break each form."""

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.data import DataError, FileImages, ImageFolder, NpzImages, kind_of, open_image_set, source_kind
from difflab.data.dataset import content_of, fingerprint_of, pixel_digest
from difflab.data.file_store import checked_content
from difflab.data.npz import NpzArray
from difflab.features import to_uint8
from difflab.runtime.foreign_code import file_stamps

N, H, W = 7, 10, 12
PIXELS = np.random.default_rng(0).integers(0, 256, (N, H, W, 3), np.uint8)
LABELS = np.array([0, 0, 1, 1, 1, 2, 2])


def npz(path: Path, *arrays, save=np.savez, **named) -> Path:
    save(path, *arrays, **named)
    return path


def encoded(pixels: np.ndarray, kind: str = "png", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, kind, **options)
    return stream.getvalue()


def files(pixels=PIXELS) -> dict[str, bytes]:
    return {f"{LABELS[i]:05}/{i:06}.png": encoded(image) for i, image in enumerate(pixels)}


def folder(path: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, content: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def shards(path: Path, labels=True) -> Path:
    for number, chosen in enumerate((range(4), range(4, N))):
        content: dict[str, bytes] = {}
        for i in chosen:
            content |= {f"{i:06}.png": encoded(PIXELS[i]), f"{i:06}.json": b"{}"}
            if labels:
                content[f"{i:06}.cls"] = str(LABELS[i]).encode()
        tarred(path / f"{number:05}.tar", content)
    return path


def without_classes(path: Path) -> Path:
    return folder(path, {f"{i}.png": encoded(image) for i, image in enumerate(PIXELS)})


FORMS = {
    "npz": (source_kind.IMAGES_NPZ, lambda at: npz(at / "a.npz", PIXELS, LABELS)),
    "compressed": (source_kind.IMAGES_NPZ, lambda at: npz(at / "a.npz", PIXELS, LABELS, save=np.savez_compressed)),
    "int64": (source_kind.IMAGES_NPZ, lambda at: npz(at / "a.npz", PIXELS.astype(np.int64), LABELS.astype(np.uint8))),
    "reference batch": (
        source_kind.IMAGES_AND_STATISTICS_NPZ,
        lambda at: npz(
            at / "a.npz", PIXELS, LABELS, mu=np.zeros(4), sigma=np.eye(4), mu_s=np.zeros(2), sigma_s=np.eye(2)
        ),
    ),
    "folder": (source_kind.FOLDER, lambda at: folder(at / "set", files())),
    "zip": (source_kind.ZIP, lambda at: zipped(at / "a.zip", files())),
    "zip without its ending": (source_kind.ZIP, lambda at: zipped(at / "archive", files())),
    "shards": (source_kind.TAR_SHARDS, lambda at: shards(at / "set")),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_pixels_as_they_are_the_labels_and_one_fingerprint(form, tmp_path):
    kind, write = FORMS[form]
    path = write(tmp_path)
    assert kind_of(path) is kind
    images = open_image_set(path)
    assert (len(images), images.shape) == (N, (3, H, W))
    assert images.labels is not None
    assert images.labels.tolist() == LABELS.tolist()
    expected = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    assert torch.equal(images.images(range(N)), expected)
    order = [5, 6, 0, 3, 3, 1, 2]
    assert torch.equal(images.images(order), expected[order])
    assert torch.equal(images.images(torch.tensor([2])), expected[[2]])
    reference = npz(tmp_path / "elsewhere.npz", PIXELS, LABELS)
    assert images.fingerprint == NpzImages(reference).fingerprint
    content = content_of(pixel_digest(image) for image in PIXELS)  # what a program that draws images knows of them
    assert images.fingerprint == fingerprint_of((3, H, W), torch.from_numpy(LABELS), content)


def test_an_index_outside_is_no_other_image(tmp_path):
    images = open_image_set(FORMS["npz"][1](tmp_path))
    for index in (-1, N):
        with pytest.raises(IndexError, match=f"no image {index} among {N}"):
            images.images([0, index])


def test_without_labels_there_are_none(tmp_path):
    unlabelled = open_image_set(npz(tmp_path / "a.npz", PIXELS))
    assert unlabelled.labels is None
    for path in (shards(tmp_path / "tar", labels=False), without_classes(tmp_path / "top")):
        images = open_image_set(path)
        assert images.labels is None
        assert images.fingerprint == unlabelled.fingerprint


def test_classes_of_a_dataset_json(tmp_path):
    index = {"labels": [[name, 6 - i] for i, name in enumerate(files())]}
    content = files() | {"dataset.json": json.dumps(index).encode()}
    for path in (folder(tmp_path / "set", content), zipped(tmp_path / "a.zip", content)):
        labels = open_image_set(path).labels
        assert labels is not None
        assert labels.tolist() == [6, 5, 4, 3, 2, 1, 0]


def test_the_fingerprint_changes_with_a_pixel_a_label_the_order_and_the_shape(tmp_path):
    other = PIXELS.copy()
    other[3, 4, 5, 1] ^= 1
    sets = [
        (PIXELS, LABELS),
        (other, LABELS),
        (PIXELS, LABELS + 1),
        (PIXELS[::-1], LABELS),
        (PIXELS.reshape(N, W, H, 3), LABELS),
        (PIXELS[:-1], LABELS[:-1]),
        (PIXELS,),
    ]
    prints = {NpzImages(npz(tmp_path / f"{i}.npz", *arrays)).fingerprint for i, arrays in enumerate(sets)}
    assert len(prints) == len(sets)


def test_a_changed_file_of_the_same_name_is_looked_at_again(tmp_path):
    path = npz(tmp_path / "a.npz", PIXELS)
    before = NpzImages(path).fingerprint
    npz(path, PIXELS[::-1])
    os.utime(path, ns=(1, 1))
    assert NpzImages(path).fingerprint != before


def of_one_size(at: Path, pixels: np.ndarray) -> list[Path]:
    """The same images in forms whose files have the size of any other images' files."""
    bitmaps = {f"{i}.bmp": encoded(image, "bmp") for i, image in enumerate(pixels)}
    forms = [npz(at / "a.npz", pixels), folder(at / "folder", bitmaps)]
    return [*forms, tarred(at / "tar" / "0.tar", bitmaps).parent, zipped(at / "a.zip", bitmaps)]


def test_other_pixels_are_seen_whatever_size_and_time_a_file_says_it_has(tmp_path):
    paths = of_one_size(tmp_path, PIXELS)
    before = [open_image_set(path).fingerprint for path in paths]
    trained = ImageFolder(tmp_path / "folder", H).fingerprint
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    stated = {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in files}
    of_one_size(tmp_path, 255 - PIXELS)
    for file in files:
        os.utime(file, ns=(0, stated[file][1]))
    assert {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in files} == stated
    after = [open_image_set(path).fingerprint for path in paths]
    assert not [path.name for path, a, b in zip(paths, before, after, strict=True) if a == b]
    assert ImageFolder(tmp_path / "folder", H).fingerprint != trained


def test_files_that_change_while_they_are_read_are_refused_and_not_remembered(tmp_path):
    path = npz(tmp_path / "a.npz", PIXELS)

    def look() -> str:
        npz(path, 255 - PIXELS)
        return "pixels of before and after"

    for _ in range(2):
        with pytest.raises(DataError, match=r"a.npz or a file beside it changed while they were read"):
            checked_content(str(path), lambda: repr(file_stamps([path])), look)
    assert checked_content(str(path), lambda: repr(file_stamps([path])), lambda: "whole") == "whole"


@pytest.mark.parametrize("form", ["npz", "folder", "zip", "shards"])
def test_a_set_is_looked_through_once(form, tmp_path, monkeypatch):
    path = FORMS[form][1](tmp_path)
    first = open_image_set(path).fingerprint

    def fail(self):
        raise AssertionError("looked through again")

    monkeypatch.setattr(NpzImages, "_check", fail)
    monkeypatch.setattr(FileImages, "_check", fail)
    assert open_image_set(path).fingerprint == first


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "file"))
    assert len(open_image_set(FORMS["folder"][1](tmp_path))) == N


def test_grey_images_have_one_channel(tmp_path):
    grey = PIXELS[..., :1]
    for path in (
        npz(tmp_path / "a.npz", grey),
        zipped(tmp_path / "a.zip", {f"{i}.png": encoded(g) for i, g in enumerate(grey)}),
    ):
        images = open_image_set(path)
        assert images.shape == (1, H, W)
        assert torch.equal(images.images([4])[0, 0], torch.from_numpy(grey[4, ..., 0]))


def test_a_palette_is_colour(tmp_path):
    image = Image.fromarray(PIXELS[0]).quantize(16)
    stream = io.BytesIO()
    image.save(stream, "png")
    images = open_image_set(folder(tmp_path / "set", {"a.png": stream.getvalue()}))
    assert np.array_equal(images.images([0])[0].permute(1, 2, 0).numpy(), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_of_a_stated_range_become_the_bytes_that_samples_become(dtype, tmp_path):
    x = np.random.default_rng(1).uniform(-1, 1, PIXELS.shape).astype(dtype)
    expected = to_uint8(torch.from_numpy(x.astype(np.float32)).permute(0, 3, 1, 2))
    assert torch.equal(open_image_set(npz(tmp_path / "a.npz", x), (-1, 1)).images(range(N)), expected)
    levels = (PIXELS / 255).astype(np.float32)
    images = open_image_set(npz(tmp_path / "b.npz", levels), [0, 1])
    assert np.array_equal(images.images(range(N)).permute(0, 2, 3, 1).numpy(), PIXELS)
    assert images.fingerprint == open_image_set(npz(tmp_path / "c.npz", PIXELS)).fingerprint


def test_one_file_read_with_two_ranges_is_two_sets(tmp_path):
    path = npz(tmp_path / "a.npz", PIXELS.astype(np.float32) / 255)
    with pytest.warns(UserWarning, match=r"was \[0,1\] meant"):
        assert open_image_set(path, (0, 1)).fingerprint != open_image_set(path, (-1, 1)).fingerprint


def test_floats_cast_to_bytes_are_suspicious(tmp_path):
    with pytest.warns(UserWarning, match="all images are black"):
        open_image_set(npz(tmp_path / "a.npz", (PIXELS / 255).astype(np.uint8)))


def test_memory_is_that_of_the_rows_asked_for(tmp_path):
    """40 MB of images, of which no more than a few rows are in memory at once, compressed or not."""
    import tracemalloc

    pixels = np.zeros((200, 256, 256, 3), np.uint8) + np.arange(200, dtype=np.uint8)[:, None, None, None]
    for save in (np.savez, np.savez_compressed):
        path = npz(tmp_path / f"{save.__name__}.npz", pixels, save=save)
        tracemalloc.start()
        array = NpzArray(path, "arr_0")
        assert [int(array.rows(first, 2).max()) for first in (0, 150)] == [1, 151]
        assert sum(len(rows) for _, rows in array.blocks(2**20)) == 200
        assert tracemalloc.get_traced_memory()[1] < 2**23
        tracemalloc.stop()


def error(path: Path | str, value_range=None) -> str:
    with pytest.raises(DataError) as caught:
        open_image_set(path, value_range)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FLOATS = PIXELS.astype(np.float32) / 127.5 - 1


def spoiled(values: np.ndarray, index: int, value: float) -> np.ndarray:
    values = values.copy()
    values[index, 1, 2, 0] = value
    return values


@pytest.mark.parametrize(
    ("arrays", "value_range", "messages"),
    [
        ([spoiled(FLOATS, 4, np.nan)], (-1, 1), ["a.npz, arr_0[4]", "NaN"]),
        ([spoiled(FLOATS, 4, np.nan)], None, ["a.npz, arr_0[4]", "NaN"]),
        ([spoiled(FLOATS, 5, -np.inf)], (-1, 1), ["a.npz, arr_0[5]", "infinity"]),
        ([spoiled(FLOATS, 6, 1.01)], (-1, 1), ["a.npz, arr_0[6]", "to 1.01", "[-1,1]"]),
        ([FLOATS], (0, 1), ["a.npz, arr_0[0]", "from -", "value_range=[0,1]"]),
        ([FLOATS], None, ["float32", "from -1 to 1", "value_range=[-1,1]"]),
        ([FLOATS / 2 + 0.5], None, ["from 0 to 1", "value_range=[0,1]"]),
        ([PIXELS.astype(np.float32)], None, ["from 0 to 255", "value_range=[0,255]"]),
        ([FLOATS * 3], None, ["fit none"]),
        ([FLOATS], (1, -1), ["value_range=[1, -1]", "[black, white]"]),
        ([FLOATS], (0, 1, 2), ["value_range=[0, 1, 2]"]),
        ([spoiled(PIXELS.astype(np.int32), 3, 256)], None, ["a.npz, arr_0[3]", "to 256", "0..255"]),
        (
            [PIXELS.astype(np.uint16) * 257],
            None,
            ["a.npz, arr_0[0]", "0..255; of 16 bits save numpy.rint(images / 257)"],
        ),
        ([spoiled(PIXELS.astype(np.int32), 2, -1)], None, ["a.npz, arr_0[2]", "from -1"]),
        ([PIXELS.transpose(0, 3, 1, 2).copy()], None, ["[7, 3, 10, 12]", "[N, C, H, W]", "transpose(0, 2, 3, 1)"]),
        ([PIXELS[..., :2]], None, ["2 channels"]),
        ([PIXELS[..., 0]], None, ["[7, 10, 12]", "[N, H, W, C]"]),
        ([PIXELS[:0]], None, ["no image"]),
        ([PIXELS > 3], None, ["bool"]),
        ([PIXELS.astype(complex)], None, ["complex128"]),
        ([PIXELS.astype(object)], None, ["arr_0", "pickled"]),
        ([PIXELS, LABELS.astype(object)], None, ["arr_1", "pickled"]),
        ([PIXELS, LABELS[:-1]], None, ["7 images", "[6]"]),
        (
            [PIXELS, spoiled(LABELS[:, None, None, None].repeat(3, 1).repeat(3, 2), 3, -2)[:, 1, 2, 0]],
            None,
            ["arr_1[3] is -2"],
        ),
        ([PIXELS, LABELS.astype(np.float32)], None, ["arr_1 holds float32"]),
        ([PIXELS, np.eye(N)], None, ["one-hot"]),
        ([np.asfortranarray(PIXELS)], None, ["column by column"]),
    ],
)
def test_a_dangerous_npz_is_refused(arrays, value_range, messages, tmp_path):
    found = error(npz(tmp_path / "a.npz", *arrays), value_range)
    assert not [message for message in messages if message not in found], found


def test_an_npz_of_other_arrays_names_them(tmp_path):
    found = error(npz(tmp_path / "a.npz", images=PIXELS, y=LABELS))
    assert "images, y" in found
    assert "arr_0" in found
    with pytest.raises(DataError, match="images, y"):
        NpzImages(tmp_path / "a.npz")
    assert "an npz of statistics, which holds no images" in error(
        npz(tmp_path / "b.npz", mu=np.zeros(2), sigma=np.eye(2))
    )


def test_a_damaged_npz_is_refused(tmp_path):
    path = npz(tmp_path / "a.npz", PIXELS, LABELS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "a.npz cannot be read as an npz" in error(path)
    flipped = bytearray(whole)
    flipped[1000] ^= 1  # a pixel: only the checksum tells
    path.write_bytes(flipped)
    assert "arr_0 cannot be read (Bad CRC" in error(path)
    path.write_bytes(b"")
    assert "cannot be read as an npz" in error(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": PIXELS.shape})
    zipped(path, {"arr_0.npy": header.getvalue() + PIXELS.tobytes()[:-5]})
    assert "arr_0 should hold [7, 10, 12, 3]" in error(path)
    zipped(path, {"arr_0.npy": b"text"})
    assert "arr_0 cannot be read" in error(path)


def test_a_compressed_npz_that_does_not_fit_says_where(tmp_path, monkeypatch):
    path = npz(tmp_path / "a.npz", PIXELS, save=np.savez_compressed)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    assert "Set TMPDIR" in error(path)


def broken(kind: str, at: Path, content: dict[str, bytes]) -> Path:
    if kind == "shards":
        return tarred(at / "set" / "0.tar", {name.replace("/", "_"): data for name, data in content.items()}).parent
    return folder(at / "set", content) if kind == "folder" else zipped(at / "a.zip", content)


THIRD = "00001/000003.png"


@pytest.mark.parametrize("kind", ["folder", "zip", "shards"])
@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (encoded(PIXELS[3])[:-200], ["cannot be read as an image"]),
        (encoded(np.zeros((64, 64, 3), np.uint8), "jpeg")[:-30], ["cannot be read as an image"]),
        (b"text", ["cannot be read as an image"]),
        (b"", ["cannot be read as an image"]),
        (encoded(PIXELS[3][:9]), ["is 12x9 colour", "000000.png (image 0) is 12x10 colour", "Nothing is resized"]),
        (encoded(PIXELS[3][..., 0]), ["is 12x10 grey", "is 12x10 colour"]),
        (encoded(np.dstack([PIXELS[3], PIXELS[3][..., 0]])), ["mode RGBA"]),
        (encoded(PIXELS[3][..., 0].astype(np.uint16) * 200), ["is 12x10 grey"]),
    ],
)
def test_a_broken_or_different_image_is_named_with_its_index(kind, data, messages, tmp_path):
    found = error(broken(kind, tmp_path, files() | {THIRD: data}))
    assert THIRD.replace("/", "_" if kind == "shards" else "/") in found
    assert "(image 3)" in found
    assert not [message for message in messages if message not in found], found


def test_folders_and_zips_that_are_no_sets_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty contains no images" in error(tmp_path / "empty")
    assert "contains no images" in error(zipped(tmp_path / "empty.zip", {}))
    assert "notes.txt is no image" in error(folder(tmp_path / "set", files() | {"notes.txt": b"x"}))
    assert "has no label for 00002/000006.png" in error(
        folder(
            tmp_path / "set2",
            files() | {"dataset.json": json.dumps({"labels": [[f, 0] for f in [*files()][:-1]]}).encode()},
        )
    )
    path = zipped(tmp_path / "a.zip", files())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "a.zip cannot be read as a zip; it may be truncated" in error(path)


IMAGE = encoded(PIXELS[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"0.png": IMAGE, "0.cls": b"1", "1.png": IMAGE}, "0.tar/1.png (image 1) has no .cls file"),
        ({"0.png": IMAGE, "0.cls": b"-1"}, "0.cls holds '-1'; expected a class number"),
        ({"0.png": IMAGE, "0.cls": b"cat"}, "0.cls holds 'cat'"),
        ({"0.png": IMAGE, "0.jpg": IMAGE}, "0.png and 0.jpg are images of one example"),
        ({"0.png": IMAGE, "1.cls": b"1"}, "class for 1, but no image"),
        ({"0.txt": b"a"}, "no image in the shards"),
        ({}, "no image in the shards"),
    ],
)
def test_shards_with_wrong_examples_are_refused(content, message, tmp_path):
    assert message in error(tarred(tmp_path / "0.tar", content))


def test_damaged_shards_are_refused(tmp_path):
    path = shards(tmp_path / "set") / "00001.tar"
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        members = [member.offset for member in archive]
    for length in (members[-1], members[-1] + 700, members[-1] + 100, len(whole) // 4):
        path.write_bytes(whole[:length])
        assert "00001.tar cannot be read as an uncompressed tar" in error(path.parent)
    path.write_bytes(b"no tar" * 1000)
    assert "00001.tar cannot be read" in error(path.parent)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(__file__, "a.png")
    assert "uncompressed" in error(tmp_path / "a.tar.gz")


def test_a_path_that_does_not_exist_names_what_is_near(tmp_path):
    shards(tmp_path / "samples_50k")
    found = error(tmp_path / "sample_50k" / "images.npz")
    assert f"there is no 'sample_50k' in {tmp_path}; did you mean {tmp_path / 'samples_50k'}?" in found
    assert "did you mean" not in error(tmp_path / "quite_another")
    with pytest.raises(DataError, match="did you mean cifar10"):
        kind_of("cifar_10", ["cifar10", "digits"])


def test_kinds_that_are_no_files_of_images(tmp_path):
    assert kind_of("digits", ["digits"]) is source_kind.DATA_SET
    run = folder(tmp_path / "run", {"config.yaml": b"", "provenance.json": b"[]"})
    assert kind_of(run) is source_kind.RUN
    assert "the directory of a run, which holds no images" in error(run)
    np.save(tmp_path / "a.npy", PIXELS)
    for name, hint in {
        "a.pkl": "numpy.savez",
        "a.ckpt": "sample.py",
        "a.txt": "Expected an npz",
        "a.npy": "npz",
    }.items():
        (tmp_path / name).touch()
        found = error(tmp_path / name)
        assert name in found
        assert hint in found
