"""Which files of a folder, a zip and shards are the data: links, names, labels, classes."""

import io
import json
import os
import tarfile
import unicodedata
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difflab.data import DataError, ImageData, ImageFolder, ImageZip, ShardedImages, open_image_set

COMPOSED, IN_PIECES = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def encoded(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(stream, "png")
    return stream.getvalue()


def written(folder: Path, *names: str, first_seed: int = 0) -> Path:
    for seed, name in enumerate(names, first_seed):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(seed))
    return folder


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names twice
        for seed, name in enumerate(names):
            archive.writestr(name, encoded(seed))
    return path


def error(make) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def said(make) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make()
    return [str(warning.message) for warning in caught]


def test_class_folders_that_are_links_are_followed(tmp_path):
    written(tmp_path / "elsewhere/dogs", "a.png", "deep/b.png")
    folder = written(tmp_path / "set", "cat/a.png", "cat/b.png", first_seed=2)
    (folder / "dog").symlink_to(tmp_path / "elsewhere/dogs")
    (folder / "cat/c.png").symlink_to(written(tmp_path / "elsewhere", "c.png", first_seed=4) / "c.png")
    dataset = ImageFolder(folder, 8)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1]
    assert len(open_image_set(folder)) == 5


def test_a_link_in_a_circle_is_said_and_ends(tmp_path):
    folder = written(tmp_path / "set", "cat/a.png", "dog/b.png")
    (folder / "cat/again").symlink_to(folder)
    (folder / "dog/self").symlink_to(folder / "dog")
    (text,) = said(lambda: ImageFolder(folder, 8))
    assert "2 links lead to a folder that they lie in and are not followed" in text
    assert "cat/again" in text
    assert "dog/self" in text


def test_broken_links_are_counted_and_named(tmp_path):
    folder = written(tmp_path / "set", "cat/a.png", "dog/a.png")
    for number in range(5):
        (folder / f"dog/{number}.png").symlink_to(tmp_path / "gone" / str(number))
    text = error(lambda: ImageFolder(folder, 8))
    assert "5 entries cannot be read" in text
    assert "(a link that leads nowhere)" in text
    assert "and 2 more. Repair or remove them." in text
    assert error(lambda: open_image_set(folder)) == text


def test_what_is_no_regular_file_is_named(tmp_path):
    folder = written(tmp_path, "a.png")
    os.mkfifo(folder / "b.png")
    assert "b.png (no regular file)" in error(lambda: ImageFolder(folder, 8))


def test_a_folder_named_as_an_image_is_a_folder(tmp_path):
    folder = written(tmp_path, "cat/a.png", "dog.png/a.png")
    assert ImageFolder(folder, 8).class_names == ("cat", "dog.png")


def test_folders_without_images_are_named(tmp_path):
    folder = written(tmp_path / "set", "cat/a.png", "dog/b.png")
    (folder / "ant/deep").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (text,) = said(lambda: ImageFolder(folder, 8))
    assert "1 folders hold no images and are no classes: ant" in text
    path = zipped(tmp_path / "set.zip", "cat/a.png", "dog/b.png")
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("ant")
    (text,) = said(lambda: ImageZip(path, 8))
    assert "1 folders hold no images and are no classes: ant" in text


def test_hidden_images_are_said_and_other_hidden_files_are_not(tmp_path):
    names = "cat/a.png", "cat/._a.png", ".ipynb_checkpoints/a.png"
    folder = written(tmp_path / "set", *names)
    (folder / ".DS_Store").write_bytes(b"x")
    for make in (lambda: ImageFolder(folder, 8), lambda: ImageZip(zipped(tmp_path / "a.zip", *names), 8)):
        (text,) = said(make)
        assert "2 images are left out, being hidden by a leading dot: .ipynb_checkpoints/a.png, cat/._a.png" in text


def test_all_files_that_are_no_images_are_counted(tmp_path):
    folder = written(tmp_path, "cat/a.png")
    for name in ("a.gif", "b.txt", "c.txt"):
        (folder / "cat" / name).write_text("x", encoding="utf-8")
    assert "cat/a.gif is no image" in (text := error(lambda: ImageFolder(folder, 8)))
    assert "and 2 more are none" in text


def test_names_that_are_no_utf8_are_named(tmp_path):
    folder = written(tmp_path / "set", "cat/a.png")
    bad = os.fsencode(folder) + b"/cat/k\xfcche.png"
    try:
        Path(os.fsdecode(bad)).write_bytes(encoded(1))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such names")
    text = error(lambda: ImageFolder(folder, 8))
    assert "1 names are not UTF-8: b'cat/k\\xfcche.png'" in text
    text.encode()
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT, encoding="latin1") as tar:
        tar.add(folder / "cat/a.png", "küche.png")
    assert "1 names are not UTF-8: b'a.tar/k\\xfcche.png'" in error(lambda: open_image_set(archive))


def test_a_zip_whose_names_are_no_utf8_or_are_not_marked_as_such(tmp_path):
    path = zipped(tmp_path / "a.zip", "küche.png")
    marked = path.read_bytes()
    path.write_bytes(marked.replace("ü".encode(), b"\xfc\xfc"))
    for make in (lambda: ImageZip(path, 8), lambda: open_image_set(path)):
        assert "a.zip cannot be read as a zip" in error(make)
    content = bytearray(marked)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset + 1] &= ~0x08
    path.write_bytes(content)
    (text,) = said(lambda: ImageZip(path, 8))
    assert "1 names are not marked as UTF-8" in text


def test_one_name_in_two_spellings_is_said(tmp_path):
    folder = written(tmp_path / "set", f"{COMPOSED}/a.png", f"{IN_PIECES}/b.png")
    if len(list(folder.iterdir())) == 1:
        pytest.skip("this file system takes both for one")
    zip_file = zipped(tmp_path / "a.zip", f"{COMPOSED}/a.png", f"{IN_PIECES}/b.png")
    for make in (lambda: ImageFolder(folder, 8), lambda: ImageZip(zip_file, 8)):
        (text,) = said(make)
        assert (
            f"1 names occur in two spellings of Unicode that look the same (NFC and NFD) and are two files or classes: {COMPOSED}"
            in text
        )
    (text,) = said(lambda: ImageZip(zipped(tmp_path / "b.zip", f"{IN_PIECES}/a.png"), 8))
    assert "written in pieces (NFD)" in text
    assert not said(lambda: ImageZip(zipped(tmp_path / "c.zip", f"{COMPOSED}/a.png"), 8))


def test_a_label_under_the_other_spelling_is_explained(tmp_path):
    folder = written(tmp_path, f"{COMPOSED}.png")
    (folder / "dataset.json").write_text(json.dumps({"labels": [[f"{IN_PIECES}.png", 0]]}), encoding="utf-8")
    text = error(lambda: ImageFolder(folder, 8))
    assert "It has one for the same name in another spelling of Unicode, 'cafe\\u0301.png'" in text


def test_one_file_twice(tmp_path):
    folder = written(tmp_path / "set", "a.png", "b.png")
    index = folder / "dataset.json"
    index.write_text(json.dumps({"labels": [["a.png", 0], ["b.png", 1], ["a.png", 1]]}), encoding="utf-8")
    assert "has 1 files with two labels, as a.png: [0, 1]. Keep one of each" in error(lambda: ImageFolder(folder, 8))
    index.write_text(json.dumps({"labels": [["a.png", 0], ["b.png", 1], ["a.png", 0]]}), encoding="utf-8")
    assert "lists 1 files twice" in said(lambda: ImageFolder(folder, 8))[0]
    twice = zipped(tmp_path / "a.zip", "a.png", "b.png", "a.png")
    assert "1 names stand for two files each: a.png. Keep one." in error(lambda: ImageZip(twice, 8))


def test_one_image_in_two_classes_is_named_wherever_it_lies(tmp_path):
    folder = written(tmp_path / "set", "cat/a.png", "dog/b.png")
    for copy in ("ant/x.png", "cat/y.png", "dog/z.png"):
        (folder / copy).parent.mkdir(exist_ok=True)
        (folder / copy).write_bytes(encoded(0))
    (text,) = said(lambda: ImageFolder(folder, 8))
    assert "3 images lie in a second class, too: " in text
    assert f"{folder}/ant/x.png = {folder}/cat/a.png" in text
    (tmp_path / "tar").mkdir()
    with tarfile.open(tmp_path / "tar/0.tar", "w") as archive:
        for number, content in enumerate([encoded(0), encoded(1), encoded(0)]):
            for name, data in ((f"{number}.png", content), (f"{number}.cls", str(number).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    (text,) = said(lambda: ShardedImages(tmp_path / "tar", 8))
    assert "1 images lie in a second class, too: " in text


def test_classes_without_images_are_named_where_they_are_learnt(tmp_path):
    folder = written(tmp_path, "a.png", "b.png")
    (folder / "dataset.json").write_text(json.dumps({"labels": [["a.png", 1], ["b.png", 5]]}), encoding="utf-8")
    dataset = ImageFolder(folder, 8)
    (text,) = said(lambda: ImageData(dataset, 2, 8, 3, 6))
    assert "4 of 6 classes have no images" in text
    assert "0, 2, 3 and 1 more" in text
    assert not said(lambda: ImageData(dataset, 2, 8, 3, 0))


def test_examples_without_an_image_are_said(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, data in (("0.png", encoded(0)), ("0.txt", b"x"), ("1.gif", b"x"), ("1.txt", b"x")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (text,) = said(lambda: open_image_set(tmp_path / "0.tar"))
    assert "1 examples without an image are left out: 1.txt" in text
