import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.data import DataError, HuggingFaceImages, ImageFolder, ImageZip, checked_files
from difflab.data.image_file import adm_crop
from difflab.data.packing import WebDataset, open_source, pack

FILES = {"cat/b.png": 1, "dog/a.png": 2, "cat/a.png": 3, "ant/deep/x.png": 4}  # file -> seed of its pixels
IN_ORDER = ["ant/deep/x.png", "cat/a.png", "cat/b.png", "dog/a.png"]


@pytest.fixture
def folder(tmp_path, write_image):
    for file, seed in FILES.items():
        write_image(tmp_path / "set" / file, seed, (13, 18))
    return tmp_path / "set"


def zipped(folder, **extra: str):
    path = folder.parent / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
        for name, content in extra.items():
            archive.writestr(name, content)
    return path


def expected_pixels(folder, size: int) -> torch.Tensor:
    images = [np.asarray(adm_crop(Image.open(folder / file).convert("RGB"), size)) for file in IN_ORDER]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def test_folder_and_zip_hold_the_same_images_and_the_first_folder_is_the_class(folder):
    (folder / ".DS_Store").write_text("not an image", encoding="utf-8")
    for dataset in (ImageFolder(folder, 8), ImageZip(zipped(folder), 8)):
        assert dataset.class_names == ("ant", "cat", "dog")
        assert dataset.labels is not None
        assert dataset.labels.tolist() == [0, 1, 1, 2]
        assert torch.equal(dataset.images([2, 0, 3, 1]), expected_pixels(folder, 8)[[2, 0, 3, 1]])


def test_grey_images(folder):
    (pixel,) = ImageFolder(folder, 18, channels=1).images([1])
    image = Image.open(folder / IN_ORDER[1]).convert("L")
    assert np.array_equal(pixel[0].numpy(), np.asarray(adm_crop(image, 18)))


def test_labels_from_a_json_overrule_folders(folder):
    index = json.dumps({"labels": [[file, 7 - number] for number, file in enumerate(IN_ORDER)]})
    in_zip = ImageZip(zipped(folder, **{"dataset.json": index}), 8)
    (folder / "dataset.json").write_text(index, encoding="utf-8")
    for dataset in (ImageFolder(folder, 8), in_zip):
        assert dataset.labels is not None
        assert dataset.labels.tolist() == [7, 6, 5, 4]
        assert dataset.num_classes == 8


def test_null_labels_mean_no_classes(folder):
    (folder / "dataset.json").write_text('{"labels": null}', encoding="utf-8")
    dataset = ImageFolder(folder, 8)
    assert dataset.labels is None
    assert dataset.num_classes == 0


def test_images_at_the_top_have_no_classes(tmp_path, write_image):
    write_image(tmp_path / "b.png", 0)
    write_image(tmp_path / "a.png", 1)
    assert ImageFolder(tmp_path, 8).num_classes == 0


def test_a_zip_goes_to_a_spawned_worker(folder):
    dataset = ImageZip(zipped(folder), 8)
    assert torch.equal(pickle.loads(pickle.dumps(dataset)).images([0, 1]), dataset.images([0, 1]))


def test_the_fingerprint_changes_with_one_pixel_a_label_and_the_size(folder):
    before = ImageFolder(folder, 8).fingerprint
    assert before == ImageFolder(folder, 8).fingerprint == ImageZip(zipped(folder), 8).fingerprint
    assert before != ImageFolder(folder, 9).fingerprint
    with Image.open(folder / "cat/a.png") as image:
        pixels = np.array(image)
    pixels[3, 4, 1] ^= 1
    Image.fromarray(pixels).save(folder / "cat/a.png")
    changed = ImageFolder(folder, 8).fingerprint
    assert changed not in (before, ImageZip(folder.parent / "set.zip", 8).fingerprint)
    (folder / "dog").rename(folder / "wolf")
    assert ImageFolder(folder, 8).fingerprint not in (before, changed)
    prints = []
    for labels in ([0, 1, 1, 2], [0, 1, 2, 2]):
        files = ["ant/deep/x.png", "cat/a.png", "cat/b.png", "wolf/a.png"]
        (folder / "dataset.json").write_text(
            json.dumps({"labels": [*zip(files, labels, strict=True)]}), encoding="utf-8"
        )
        prints.append(ImageFolder(folder, 8).fingerprint)
    assert prints[0] != prints[1]


def test_files_are_checked_once(folder, monkeypatch):
    first = ImageFolder(folder, 8).fingerprint

    def fail(*_):
        raise AssertionError("checked again")

    monkeypatch.setattr(checked_files, "examined", fail)
    assert ImageFolder(folder, 8).fingerprint == first


def error(make) -> str:
    with pytest.raises(DataError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "text"])
def test_an_unreadable_image_is_named_at_once(folder, damage):
    path = folder / "cat/a.png"
    path.write_bytes(path.read_bytes()[:200] if damage == "truncated" else b"hello")
    assert "set/cat/a.png cannot be read as an image" in error(lambda: ImageFolder(folder, 8))
    assert "set.zip/cat/a.png cannot be read as an image" in error(lambda: ImageZip(zipped(folder), 8))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"labels": [["cat/a.png", 0]]}', "dataset.json has no label for ant/deep/x.png. Add one"),
        ('{"labels": [["cat/a.png", 0.5], %s]}', "label of cat/a.png is 0.5, expected a class number"),
        ('{"labels": [["cat/a.png", -1], %s]}', "label of cat/a.png is -1"),
        ('{"labels": [["cat/a.png", 0], ["z.png", 0], %s]}', "label for z.png, which is not there"),
        ('{"classes": []}', "expected {"),
        ('{"labels": [3]}', "expected {"),
        ("{", "is no JSON"),
    ],
)
def test_a_json_with_wrong_labels_is_refused(folder, index, message):
    others = ", ".join(f'["{file}", 0]' for file in IN_ORDER if file != "cat/a.png")
    (folder / "dataset.json").write_text(index.replace("%s", others), encoding="utf-8")
    assert message in error(lambda: ImageFolder(folder, 8))


def test_an_image_outside_the_class_folders_has_no_label(folder, write_image):
    write_image(folder / "stray.png", 0)
    assert "set/stray.png has no label" in error(lambda: ImageFolder(folder, 8))


def test_other_files_an_empty_folder_and_absent_ones_are_refused(folder, tmp_path):
    (folder / "cat/notes.txt").write_text("x", encoding="utf-8")
    assert "set/cat/notes.txt is no image" in error(lambda: ImageFolder(folder, 8))
    (tmp_path / "empty").mkdir()
    assert "empty contains no images" in error(lambda: ImageFolder(tmp_path / "empty", 8))
    assert "data.dataset.root" in error(lambda: ImageFolder(tmp_path / "absent", 8))
    assert "data.dataset.path" in error(lambda: ImageZip(tmp_path / "absent.zip", 8))
    (tmp_path / "no.zip").write_text("x", encoding="utf-8")
    assert "cannot be read as a zip" in error(lambda: ImageZip(tmp_path / "no.zip", 8))
    assert "data.channels=4" in error(lambda: ImageFolder(folder / "dog", 8, channels=4))


@pytest.fixture
def hub(tmp_path, write_image, monkeypatch):
    """A local folder of parquet files, which `load_dataset` takes for a name."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets.disable_progress_bars()
    for number in range(4):
        write_image(tmp_path / f"{number}.png", number, (10, 8))
    files = [{"bytes": (tmp_path / f"{n}.png").read_bytes(), "path": f"{n}.png"} for n in range(4)]
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"]), "text": datasets.Value("string")}
    )
    columns = {"img": files, "label": [1, 0, 0, 1], "text": ["a", "b", "c", "d"]}
    rows = datasets.Dataset.from_dict(columns, features)
    (tmp_path / "hub").mkdir()
    rows.to_parquet(tmp_path / "hub" / "train.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf_cache")
    return tmp_path / "hub"


def test_hugging_face_sets_by_name(hub):
    dataset = HuggingFaceImages(str(hub), "train", "img", "label", image_size=8)
    assert dataset.class_names == ("no", "yes")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [1, 0, 0, 1]
    expected = [np.asarray(adm_crop(Image.open(hub.parent / f"{number}.png"), 8)) for number in (3, 1)]
    assert torch.equal(dataset.images([3, 1]), torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2))
    part = HuggingFaceImages(str(hub), "train[:2]", "img", None, image_size=8)
    assert len(part) == 2
    assert part.labels is None
    other = HuggingFaceImages(str(hub), "train[2:]", "img", None, image_size=8)
    assert len({part.fingerprint, other.fingerprint, dataset.fingerprint}) == 3
    assert dataset.fingerprint == HuggingFaceImages(str(hub), "train", "img", "label", image_size=8).fingerprint


def test_a_row_that_names_a_file_elsewhere_is_not_read(hub, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "0.png").symlink_to(tmp_path / "1.png")
    for number, path in enumerate((str(tmp_path / "0.png"), "../0.png", "/etc/passwd", f"{tmp_path}/link/../0.png")):
        other = tmp_path / f"set{number}"
        other.mkdir()
        image = pyarrow.array([{"bytes": None, "path": path}], pyarrow.struct({"bytes": "binary", "path": "string"}))
        features = {"img": {"_type": "Image"}, "label": {"names": ["no"], "_type": "ClassLabel"}}
        table = pyarrow.table({"img": image, "label": pyarrow.array([0], "int64")})
        said = json.dumps({"info": {"features": features}})
        parquet.write_table(table.replace_schema_metadata({"huggingface": said}), other / "train.parquet")
        said = error(
            lambda place=other: HuggingFaceImages(str(place), "train", "img", "label", image_size=8).images([0])
        )
        assert "row 0" in said
        with pytest.raises(DataError, match="row 0"):
            pack(
                open_source(f"hub:{other}", image_column="img"),
                tmp_path / f"out{number}",
                WebDataset(),
                1,
                lambda *_: None,
            )
        assert not list((tmp_path / f"out{number}").glob("*.tar"))


def test_hugging_face_errors_say_what_to_set(hub):
    name = str(hub)
    assert "columns ['img', 'label', 'text'], not 'image'" in error(
        lambda: HuggingFaceImages(name, "train", "image", None, 8)
    )
    assert "holds no images" in error(lambda: HuggingFaceImages(name, "train", "text", None, 8))
    assert "row 0: the label 'a'" in error(lambda: HuggingFaceImages(name, "train", "img", "text", 8))
    assert "failed" in error(lambda: HuggingFaceImages(name, "test", "img", "label", 8))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    assert "[hub]'" in error(lambda: HuggingFaceImages("x", "train", "img", None, 8))


def test_a_damaged_zip_is_named_with_the_image(folder):
    path = zipped(folder)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("cat/b.png").header_offset + 200] ^= 1
    path.write_bytes(content)
    assert "set.zip/cat/b.png cannot be read as an image (Bad CRC" in error(lambda: ImageZip(path, 8))
