"""Every format of shards against the folder it was packed from; what interrupts packing, and what damages shards."""

import io
import json
import os
import pickle
import tarfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.data import (
    ArrayImages,
    DataError,
    Digits,
    GlobalBatches,
    HuggingFaceImages,
    ImageFolder,
    ImageZip,
    ShardedImages,
    ShardedLatents,
    TrainingStream,
    open_image_set,
)
from difflab.data.packing import Example, Mds, Parquet, WebDataset, cached_latents, describe, open_source, pack
from difflab.data.shard_index import INDEX, WORK, Shard, ShardIndex, read_index

FORMATS = [WebDataset(), Mds(), Parquet()]
COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """40 images of three classes and two file formats, of about 80 KB: no format's boundaries fall together with shards."""
    root = tmp_path_factory.mktemp("source") / "set"
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (170, 160, 3), np.uint8)
        path = root / ("ant", "bee.v2", "çat")[number % 3] / f"{number}.x.{'jpg' if number % 4 == 0 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory) -> dict[str, Path]:
    out = {form.name: tmp_path_factory.mktemp("packed") / form.name for form in FORMATS}
    for form in FORMATS:
        pack(open_source(str(folder)), out[form.name], form, shard_mb=1)
    return out


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def copied(path: Path, to: Path) -> Path:
    to.mkdir()
    for file in path.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_the_shards_hold_what_the_folder_holds(form, folder, packed):
    shards, source = ShardedImages(packed[form.name], 16), ImageFolder(folder, 16)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shards.images(order), source.images(order))
    assert shards.labels is not None
    assert torch.equal(shards.labels, source.labels)
    assert shards.class_names == source.class_names == ("ant", "bee.v2", "çat")
    assert shards.fingerprint == source.fingerprint  # the files are the same, byte for byte
    extra = {"mds": ["index.json"]}.get(form.name, [])
    count = len(read_index(packed[form.name]).shards)
    assert 3 <= count <= 5
    assert names(packed[form.name]) == sorted([f"{n:06}{form.extension}" for n in range(count)] + [INDEX] + extra)
    for shard in read_index(packed[form.name]).shards:
        assert sum(shard.sizes) <= 2**20


def test_webdataset_shards_are_what_evaluation_reads(folder, packed, tmp_path):
    """The reader of anybody's tar files, which does not look at the index."""
    shards = open_image_set(packed["webdataset"])
    assert shards.labels is not None
    source = ImageFolder(folder, 160)
    assert shards.labels.tolist() == source.labels.tolist()  # type: ignore[union-attr]
    expected = np.asarray(Image.open(folder / source._names[7]).convert("RGB"))
    assert np.array_equal(shards.images([7])[0].permute(1, 2, 0).numpy(), expected)
    anybodys = copied(packed["webdataset"], tmp_path / "anybodys")
    (anybodys / INDEX).unlink()
    found = ShardedImages(anybodys, 16)
    assert torch.equal(found.images(range(COUNT)), ImageFolder(folder, 16).images(range(COUNT)))
    assert found.class_names == ("0", "1", "2")
    assert found.fingerprint != source.fingerprint  # other names of classes and files
    assert torch.equal(pickle.loads(pickle.dumps(found)).images([5]), found.images([5]))


def test_parquet_shards_are_what_the_hugging_face_library_reads(folder, packed, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf_cache")
    datasets.disable_progress_bars()
    theirs = HuggingFaceImages(str(packed["parquet"]), "train", "image", "label", 16)
    ours = ShardedImages(packed["parquet"], 16)
    assert torch.equal(theirs.images(range(COUNT)), ours.images(range(COUNT)))
    assert theirs.class_names == ours.class_names
    assert theirs.labels.tolist() == ours.labels.tolist()  # type: ignore[union-attr]
    # and the way back: a data set of the hub becomes shards
    index = pack(open_source(f"hub:{packed['parquet']}"), tmp_path / "from_hub", Mds(), shard_mb=1)
    assert torch.equal(ShardedImages(tmp_path / "from_hub", 16).images([3, 1]), ours.images([3, 1]))
    assert index.class_names == list(ours.class_names)


@pytest.mark.parametrize("labelled", [True, False])
def test_mds_shards_are_laid_out_as_the_library_does(labelled, tmp_path):
    """tests/golden/mds_*.json: what MDSWriter of mosaicml-streaming 0.13.0 wrote for these examples, size_limit=None."""
    golden = json.loads(
        (Path(__file__).parents[1] / "golden" / f"mds_{labelled}.json".lower()).read_text(encoding="utf-8")
    )
    examples = [
        Example(n, f"name{n}é", bytes(range(n, 7 * n)), ".png", n * 300 if labelled else None) for n in range(4)
    ]
    offsets = Mds().write(tmp_path / "000000.mds", examples, ["class"] if labelled else [])
    written = (tmp_path / "000000.mds").read_bytes()
    assert written.hex() == golden["shard"]
    for example, offset in zip(examples, offsets, strict=True):
        assert written[offset : offset + len(example.content)] == example.content
    names, sizes = [e.name for e in examples], [len(e.content) for e in examples]
    labels = [n * 300 for n in range(4)] if labelled else None
    shard = Shard("shard.00000.mds", len(written), 0, names, labels, offsets, sizes)
    index = ShardIndex("mds", "", None, None, ["class"] if labelled else [], "", "", [shard])
    assert json.loads(Mds().side_files(tmp_path, index)["index.json"]) == golden["index"]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_without_classes_and_from_a_zip(form, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number, file in enumerate(sorted(folder.rglob("*.png"))[:5]):
            archive.write(file, f"{number}.png")
    pack(open_source(str(tmp_path / "set.zip")), tmp_path / "out", form)
    shards, source = ShardedImages(tmp_path / "out", 9), ImageZip(tmp_path / "set.zip", 9)
    assert shards.labels is None
    assert shards.fingerprint == source.fingerprint
    assert torch.equal(shards.images(range(5)), source.images(range(5)))


def test_resized_images_are_those_that_training_would_make(folder, tmp_path):
    pack(open_source(str(folder), image_size=24), tmp_path / "out", WebDataset(), shard_mb=1)
    shards = ShardedImages(tmp_path / "out", 24)
    assert torch.equal(shards.images(range(COUNT)), ImageFolder(folder, 24).images(range(COUNT)))
    with pytest.raises(DataError, match=r"packed at image_size=24, smaller than 32\. Set data.image_size=24"):
        ShardedImages(tmp_path / "out", 32)
    sizes = describe(str(tmp_path / "out"))["sizes"]
    assert sizes == {"24x24 RGB PNG": COUNT}


def test_from_one_format_to_another_the_content_stays(packed, tmp_path):
    index = pack(open_source(str(packed["mds"])), tmp_path / "out", Parquet(), shard_mb=2)
    assert index.content == read_index(packed["mds"]).content
    assert ShardedImages(tmp_path / "out", 16).fingerprint == ShardedImages(packed["webdataset"], 16).fingerprint


def pack_slowly(source: str, out: str) -> None:
    def report(what: str, done: int, total: int) -> None:
        if done:
            time.sleep(1000)

    pack(open_source(source), out, WebDataset(), 1, report)


def test_a_kill_in_the_middle_and_again(folder, packed, tmp_path):
    out = tmp_path / "out"
    process = get_context("fork").Process(target=pack_slowly, args=(str(folder), str(out)))
    process.start()
    while not list((out / WORK).glob("000000.json")):
        time.sleep(0.02)
    process.kill()
    process.join()
    finished = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert 1 <= len(finished) < len(read_index(packed["webdataset"]).shards)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"neither packed.json nor"):
        ShardedImages(tmp_path / "nothing", 8)
    with pytest.raises(
        DataError, match=r"unfinished packing with another settings \(files as they are, now image_size=8"
    ):
        pack(open_source(str(folder), image_size=8), out, WebDataset(), 1)
    done = []
    pack(open_source(str(folder)), out, WebDataset(), 1, lambda what, count, _: done.append((what, count)))
    assert done[0][0] == "packing"
    assert done[0][1] > 0  # what was finished is not done again
    assert all((out / name).stat().st_mtime_ns == changed for name, changed in finished.items())
    assert names(out) == names(packed["webdataset"])
    for name in names(out):  # and the end is that of an undisturbed packing
        assert (out / name).read_bytes() == (packed["webdataset"] / name).read_bytes()
    done.clear()  # once more: nothing to do
    assert pack(open_source(str(folder)), out, WebDataset(), 1, lambda *progress: done.append(progress)) == read_index(
        out
    )
    assert not done


def test_an_unfinished_set_is_not_trained_on(folder, tmp_path):
    class Stop(Exception):
        pass

    def stop(what, done, total):
        if done:
            raise Stop

    with pytest.raises(Stop):
        pack(open_source(str(folder)), tmp_path / "out", WebDataset(), 1, stop)
    assert any((tmp_path / "out").glob("*.tar"))
    with pytest.raises(DataError, match="not finished"):
        ShardedImages(tmp_path / "out", 8)


def test_a_shard_lost_before_the_end_is_made_again(folder, packed, tmp_path):
    class Stop(Exception):
        pass

    def stop(what, done, total):
        if done > 20:
            raise Stop

    out = tmp_path / "out"
    with pytest.raises(Stop):
        pack(open_source(str(folder)), out, Mds(), 1, stop)
    (out / "000000.mds").write_bytes(b"short")
    pack(open_source(str(folder)), out, Mds(), 1)
    assert (out / "000000.mds").read_bytes() == (packed["mds"] / "000000.mds").read_bytes()


def test_a_source_that_was_copied_is_the_same_and_one_with_other_pixels_is_not(tmp_path):
    """Their files have the same sizes and times."""

    def write(seed: int) -> None:
        for i in range(3):
            pixels = np.random.default_rng(seed + i).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / f"{i}.bmp")
            os.utime(tmp_path / "in" / f"{i}.bmp", ns=(1, 1))

    (tmp_path / "in").mkdir()
    write(0)
    first = pack(open_source(str(tmp_path / "in")), tmp_path / "out", WebDataset())
    write(0)
    again = pack(open_source(str(tmp_path / "in")), tmp_path / "out", WebDataset())
    assert again == first
    write(10)
    with pytest.raises(DataError, match="holds another packed data set"):
        pack(open_source(str(tmp_path / "in")), tmp_path / "out", WebDataset())


def test_where_not_to_pack(folder, packed, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"full is not empty: it has thesis.txt"):
        pack(open_source(str(folder)), tmp_path / "full", Mds())
    with pytest.raises(DataError, match="holds another packed data set"):
        pack(open_source(str(folder)), packed["mds"], WebDataset())
    assert not (packed["mds"] / WORK).exists()
    with pytest.raises(DataError, match=r"shard_mb=0: a shard of mds has 1 to 2047 MB"):
        pack(open_source(str(folder)), tmp_path / "out", Mds(), 0)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"bad/a.png cannot be read as an image"):
        pack(open_source(str(tmp_path / "bad")), tmp_path / "out", Mds())


def damaged(path: Path, to: Path, damage: str) -> Path:
    out = copied(path, to)
    shard = out / read_index(path).shards[1].file
    if damage == "missing":
        shard.unlink()
    elif damage == "truncated":
        os.truncate(shard, shard.stat().st_size - 1)
    else:
        content = bytearray(shard.read_bytes())
        content[5000] ^= 1
        shard.write_bytes(content)
    return out


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize(
    ("damage", "message"),
    [("missing", "is missing"), ("truncated", "and should have"), ("flipped", "checksum differs")],
)
def test_a_damaged_shard_is_named_before_training(form, damage, message, packed, tmp_path):
    out = damaged(packed[form.name], tmp_path / "out", damage)
    with pytest.raises(DataError, match=rf"000001{form.extension} .*{message}"):
        ShardedImages(out, 8)


def test_a_damaged_index_is_named(packed, tmp_path):
    out = copied(packed["mds"], tmp_path / "out")
    index = json.loads((out / INDEX).read_text(encoding="utf-8"))
    for broken in ("{", json.dumps({**index, "version": 99}), json.dumps({"version": 1})):
        (out / INDEX).write_text(broken, encoding="utf-8")
        with pytest.raises(DataError, match=r"packed.json"):
            ShardedImages(out, 8)


def seen(root: str, rank: int) -> torch.Tensor:
    """What process `rank` of two trains on in three steps."""
    stream = TrainingStream(ShardedImages(root, 8), 0, seed=5)
    batches = iter(GlobalBatches(8, world_size=2, rank=rank))
    return torch.stack([stream[next(batches)].x0 for _ in range(3)])


def test_two_processes_and_their_workers_see_what_one_sees_in_the_folder(folder, packed):
    whole = TrainingStream(ImageFolder(folder, 8), 0, seed=5)
    batches = iter(GlobalBatches(8))
    expected = torch.stack([whole[next(batches)].x0 for _ in range(3)])
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        first, second = pool.map(seen, [str(packed["parquet"])] * 2, [0, 1])
    assert torch.equal(torch.cat([first, second], 1), expected)
    stream = TrainingStream(ShardedImages(packed["mds"], 8), 0, seed=5)
    stream.dataset.images([0])  # a descriptor is open when the workers are forked
    loader = torch.utils.data.DataLoader(stream, sampler=GlobalBatches(8), batch_size=None, num_workers=2)
    loaded = iter(loader)
    assert torch.equal(torch.stack([next(loaded).x0 for _ in range(3)]), expected)


def test_latents_from_files(tmp_path):
    arrays = np.random.default_rng(0).normal(size=(6, 4, 5, 5)).astype(np.float32)
    for number, array in enumerate(arrays):
        path = tmp_path / "set" / f"class{number % 2}" / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array if number else array.astype(np.float64))
    pack(open_source(str(tmp_path / "set")), tmp_path / "out", WebDataset())
    latents = ShardedLatents(tmp_path / "out")
    assert (latents.image_size, latents.channels, latents.num_classes) == (5, 4, 2)
    assert torch.equal(latents.images(range(6)), torch.from_numpy(arrays[[0, 2, 4, 1, 3, 5]]))
    with pytest.raises(DataError, match="data=latents"):
        ShardedImages(tmp_path / "out", 5)
    np.save(tmp_path / "set" / "class0" / "9.npy", arrays[0, :, :3, :3])
    with pytest.raises(DataError, match=r"9.npy has the shape \[4, 3, 3\], others \[4, 5, 5\]"):
        pack(open_source(str(tmp_path / "set")), tmp_path / "other", WebDataset())


def test_latents_are_computed_once_for_a_data_set_and_an_encoder(tmp_path):
    pixels = torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    calls = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return torch.nn.functional.avg_pool2d(images.double() / 255, 2)

    dataset = ArrayImages(pixels, torch.arange(10) % 3)
    latents = cached_latents(dataset, encode, "pool", batch_size=4)
    assert calls == [4, 4, 2]
    assert torch.equal(latents.images([9, 0]), encode(pixels[[9, 0]]).float())
    assert latents.labels is not None
    assert torch.equal(latents.labels, torch.arange(10) % 3)
    calls.clear()
    assert cached_latents(dataset, encode, "pool", batch_size=3).fingerprint == latents.fingerprint
    assert calls == []
    pixels[3, 0, 0, 0] ^= 1
    cached_latents(ArrayImages(pixels, torch.arange(10) % 3), encode, "pool")
    cached_latents(dataset, encode, "other pool")
    assert len(calls) == 2


def test_description(folder, packed):
    of_folder, of_shards = describe(str(folder)), describe(str(packed["parquet"]))
    assert of_folder["content"] == of_shards["content"]
    assert of_folder["classes"] == of_shards["classes"] == {"ant": 14, "bee.v2": 13, "çat": 13}
    assert of_folder["sizes"] == of_shards["sizes"] == {"160x170 RGB PNG": 30, "160x170 RGB JPEG": 10}
    assert of_folder["images"] == of_shards["images"] == COUNT


def test_a_tar_of_the_format_is_deterministic_and_whole(packed):
    with tarfile.open(packed["webdataset"] / "000000.tar") as archive:
        members = archive.getnames()
        assert members[:2] == ["000000000.jpg", "000000000.cls"]
        first = archive.extractfile("000000000.cls")
        assert first is not None
        assert io.BytesIO(first.read()).getvalue() == b"0"
    assert Digits().fingerprint  # an unrelated set has no index and needs none
