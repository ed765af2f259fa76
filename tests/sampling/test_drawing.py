"""Shards, windows of seeds, resuming, growing, stopping: with a function in place of a model."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from difflab.metrics import Protocol
from difflab.runtime.progress import Progress
from difflab.sampling import (
    Conditions,
    Drawing,
    InTurn,
    SampleSet,
    SamplingError,
    SamplingStopped,
    Shards,
    draw_missing,
)
from difflab.sampling.conditions import Several, default_for, with_words
from difflab.types import Condition, Label

CPU = torch.device("cpu")


@dataclasses.dataclass
class Painter:
    """Images that are a function of seed and label, and a record of the batches that were asked for."""

    batches: list[list[int]] = dataclasses.field(default_factory=list)

    def __call__(self, seeds: torch.Tensor, cond: Condition) -> torch.Tensor:
        self.batches.append(seeds.tolist())
        label = torch.zeros_like(seeds) if Label.of(cond) is None else Label.of(cond).number
        ramp = torch.arange(3 * 4 * 4).reshape(1, 3, 4, 4)
        return ((ramp * (seeds[:, None, None, None] + 1) + 50 * label[:, None, None, None]) % 256).to(torch.uint8)


def set_folder(path, size=4, first=0, plan=None):
    return SampleSet(path, Protocol.of({"batch_size": size, "first": first} | (plan or {})), size)


def paint(path, count, size=4, first=0, classes=None, stop=lambda: False, painter=None, plan=None, overwrite=False):
    painter = painter or Painter()
    folder = set_folder(path, size, first, plan)
    try:
        draw_missing(
            folder,
            count,
            first,
            classes or InTurn().prepare(Drawing((3, 4, 4), 3)),
            painter,
            CPU,
            stop,
            Progress(shown=False),
            overwrite,
        )
    finally:
        folder.end()
    return Shards(folder.shards, count, first), painter


def expected(count, first=0):
    seeds = torch.arange(first, first + count)
    return Painter()(seeds, Condition(label=Label(seeds % 3))), seeds % 3


def test_windows_of_seeds_are_equally_large_and_the_rest_is_not_shown(tmp_path):
    shards, painter = paint(tmp_path, 10, first=5)
    assert painter.batches == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]
    images, labels = expected(10, 5)
    assert torch.equal(shards.images(range(10)), images)
    assert torch.equal(shards.images([7, 0, 7]), images[[7, 0, 7]])
    assert torch.equal(torch.cat([part for _, part in shards.batches()]), images)
    assert [first for first, _ in shards.batches()] == [0, 4, 8]
    assert torch.equal(shards.labels, labels)
    assert (len(shards), shards.shape) == (10, (3, 4, 4))


def test_a_set_smaller_than_a_batch_makes_no_more_than_it_needs(tmp_path):
    _, painter = paint(tmp_path, 3)
    assert painter.batches == [[0, 1, 2]]


def test_the_fingerprint_is_that_of_the_content(tmp_path):
    ten = paint(tmp_path / "a", 10)[0].fingerprint
    assert paint(tmp_path / "b", 10, size=7)[0].fingerprint == ten
    different = [
        paint(tmp_path / "c", 9)[0],
        paint(tmp_path / "d", 10, first=1)[0],
        paint(tmp_path / "e", 10, classes=InTurn().prepare(Drawing((3, 4, 4))))[0],
    ]
    assert len({ten, *(shards.fingerprint for shards in different)}) == 4


def test_only_what_is_missing_is_drawn(tmp_path):
    whole, _ = paint(tmp_path / "whole", 20)
    paint(tmp_path / "torn", 20)
    folder = tmp_path / "torn" / "shards"
    (folder / "00000001.safetensors").unlink()
    (folder / "00000003.safetensors").write_bytes((folder / "00000003.safetensors").read_bytes()[:-5])
    (folder / ".writing-00000001.safetensors-77").write_bytes(b"half")
    resumed, painter = paint(tmp_path / "torn", 20)
    assert painter.batches == [[4, 5, 6, 7], [12, 13, 14, 15]]
    assert resumed.fingerprint == whole.fingerprint
    assert sorted(path.name for path in folder.iterdir()) == [f"{k:08d}.safetensors" for k in range(5)]


@pytest.mark.parametrize(("before", "drawn"), [(8, 1), (6, 1), (4, 2), (3, 3)])
def test_a_set_grows(tmp_path, before, drawn):
    """Only a set of less than one batch begins anew: its only batch had another shape."""
    paint(tmp_path, before)
    grown, painter = paint(tmp_path, 12)
    assert len(painter.batches) == drawn
    assert torch.equal(grown.images(range(12)), expected(12)[0])


def test_a_set_shrinks_without_work(tmp_path):
    paint(tmp_path, 12)
    smaller, painter = paint(tmp_path, 5)
    assert painter.batches == []
    assert torch.equal(smaller.images(range(len(smaller))), expected(5)[0])
    assert smaller.fingerprint == paint(tmp_path / "fresh", 5)[0].fingerprint


def test_another_plan_is_refused_and_replaced_only_on_demand(tmp_path):
    paint(tmp_path, 8, plan={"steps": 10})
    with pytest.raises(SamplingError, match=r"steps \(10 against 20\).*overwrite=true"):
        paint(tmp_path, 8, plan={"steps": 20})
    _, same = paint(tmp_path, 8, plan={"steps": 10}, overwrite=True)
    assert same.batches == []
    _, other = paint(tmp_path, 8, plan={"steps": 20}, overwrite=True)
    assert len(other.batches) == 2
    (tmp_path / "plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(SamplingError, match="damaged"):
        paint(tmp_path, 8, plan={"steps": 20})


def test_it_stops_between_batches_and_goes_on(tmp_path):
    painter = Painter()
    with pytest.raises(SamplingStopped, match="8 of 18 drawn; run the same command again"):
        paint(tmp_path, 18, stop=lambda: len(painter.batches) == 2, painter=painter)
    shards, rest = paint(tmp_path, 18)
    assert len(rest.batches) == 3
    assert torch.equal(shards.images(range(18)), expected(18)[0])


def test_being_told_to_stop_after_the_last_batch_changes_nothing(tmp_path):
    shards, _ = paint(tmp_path, 4, stop=lambda: True)
    assert len(shards) == 4


def test_what_goes_wrong_in_a_batch_is_told_with_its_seeds(tmp_path):
    def broken(seeds, cond):
        if 5 in seeds:
            raise ValueError("image 1 of this batch of 4 holds NaN")
        return Painter()(seeds, cond)

    with pytest.raises(SamplingError, match=r"seeds 4 \.\. 7: image 1"):
        paint(tmp_path, 12, painter=broken)
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["00000000.safetensors"]


def test_a_full_disk_is_named_and_leaves_no_half_shard(tmp_path, monkeypatch):
    write_bytes = Path.write_bytes

    def full(path, content):
        if "00000001" in path.name:
            write_bytes(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(SamplingError, match=r"could not write \S+00000001\.safetensors \(No space left on device"):
            paint(tmp_path, 12)
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["00000000.safetensors"]
    assert len(paint(tmp_path, 12)[1].batches) == 2


def test_two_commands_do_not_share_a_folder(tmp_path):
    holder = SampleSet(tmp_path, Protocol.of({"batch_size": 4, "first": 0}), 4)
    holder.begin(8, overwrite=False)
    with pytest.raises(SamplingError, match="another process is drawing"):
        paint(tmp_path, 8)
    holder.end()
    paint(tmp_path, 8)


def write(path, count, *names, keep_shards=True, finish=True, plan=None, overwrite=False):
    """What sample.py does with a set: begins, writes a file and a folder of it, ends. What was removed on the way."""
    folder = set_folder(path, plan=plan)
    removed = folder.begin(count, overwrite, keep_shards)
    folder.shards.write(0, torch.zeros(4, 1, 2, 2, dtype=torch.uint8), None)
    for name in names:
        place = path / name
        if "." in name:
            place.write_text(f"{count}", encoding="utf-8")
        else:
            place.mkdir(exist_ok=True)
            (place / "0.png").write_text(f"{count}", encoding="utf-8")
        folder.record(name, place)
    if finish:
        folder.finish({name: path / name for name in names}, {"count": count}, "content")
        folder.drop_shards()
    folder.end()
    return sorted(one.name for one in removed)


def names_in(path):
    return sorted(one.name for one in path.iterdir() if one.name not in (".lock", "shards"))


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize(("count", "change"), [(8, {}), (4, {"plan": {"steps": 3}, "overwrite": True})])
def test_what_was_written_of_another_set_goes_and_nothing_else(tmp_path, finish, count, change):
    """Also what a command had written that was killed before it had written all."""
    inside = tmp_path / "out"
    (tmp_path / "beside.txt").write_text("mine", encoding="utf-8")
    inside.mkdir()
    (inside / "mine.npz").write_text("mine", encoding="utf-8")
    write(inside, 4, "a.zip", "images", finish=finish)
    if finish:
        complete = json.loads((inside / "complete.json").read_text(encoding="utf-8"))
        complete["files"] |= {"x": "../beside.txt", "y": ".."}
        (inside / "complete.json").write_text(json.dumps(complete), encoding="utf-8")
    assert write(inside, count, "b.zip", **change) == ["a.zip", "images"]
    assert names_in(inside) == ["b.zip", "complete.json", "mine.npz", "plan.json"]
    assert (tmp_path / "beside.txt").exists()


def test_formats_of_the_same_set_stay_together(tmp_path):
    write(tmp_path, 4, "a.zip")
    assert write(tmp_path, 4, "images") == []
    assert names_in(tmp_path) == ["a.zip", "complete.json", "images", "plan.json"]
    assert read_set_files(tmp_path) == {"a.zip", "images"}
    assert write(tmp_path, 8) == ["a.zip", "images"]


def read_set_files(path):
    return set(json.loads((path / "complete.json").read_text(encoding="utf-8"))["files"])


@pytest.mark.parametrize(
    ("wishes", "stay"),
    [
        ([False], False),
        ([True, False], True),
        ([False, True], True),
        ([True, True, False], True),
        ([False, False], False),
    ],
)
def test_shards_that_a_command_wanted_to_stay_do_so(tmp_path, wishes, stay):
    """Each command before the last is interrupted, so that its shards are there."""
    for wish in wishes[:-1]:
        write(tmp_path, 4, keep_shards=wish, finish=False)
    write(tmp_path, 4, keep_shards=wishes[-1])
    assert (tmp_path / "shards").exists() == stay


def test_shards_of_replaced_images_do_not_count_as_wanted(tmp_path):
    write(tmp_path, 4)
    write(tmp_path, 4, keep_shards=False, plan={"steps": 3}, overwrite=True)
    assert not (tmp_path / "shards").exists()


def test_the_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "complete.json").write_text('{"step": 5}', encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(SamplingError, match=r"complete\.json is of something else"):
            paint(tmp_path, 4, overwrite=overwrite)
    assert [one.name for one in tmp_path.iterdir()] == ["complete.json"]
    assert set_folder(tmp_path).finished({}) is None


def classes_of(choice, num_classes: int, first_seed: int, num_samples: int) -> Conditions:
    """What `classes=` means."""
    drawing = Drawing((1, 4, 4), num_classes, first_seed=first_seed, num_samples=num_samples)
    return Several(with_words(default_for(drawing), choice)).prepare(drawing)


def test_classes_by_number_list_and_file(tmp_path):
    seeds = torch.arange(3, 9)

    def labels(choice):
        return classes_of(choice, num_classes=5, first_seed=3, num_samples=6)(seeds)["label"].number.tolist()

    assert labels(None) == [3, 4, 0, 1, 2, 3]
    assert labels(2) == [2] * 6
    assert labels([4, 1]) == [1, 4, 1, 4, 1, 4]
    np.save(tmp_path / "labels.npy", np.array([4, 4, 0, 1, 2, 3, 0], dtype=np.int32))
    assert labels(str(tmp_path / "labels.npy")) == [4, 4, 0, 1, 2, 3]
    assert not classes_of(None, 0, 3, 6)(seeds)
    descriptions = {
        classes_of(choice, 5, 3, 6).fields["classes"] for choice in (None, 2, [4, 1], str(tmp_path / "labels.npy"))
    }
    assert len(descriptions) == 4


@pytest.mark.parametrize(
    ("choice", "num_classes", "told"),
    [
        (5, 5, "no class 5, the model knows 0 .. 4"),
        ([1, -1], 5, "no class -1"),
        ([], 5, "names no class"),
        ([1.5], 5, "1.5 is no class number"),
        (1.5, 5, "1.5 is no class number"),
        (1, 0, "knows no classes"),
        ("absent.npy", 5, "absent.npy"),
        ("labels.npy", 5, "label 2 is 7"),
        ("short.npy", 5, "2 labels for num_samples=3"),
        ("floats.npy", 5, "float64"),
        ("text.npy", 5, "cannot be read"),
    ],
)
def test_classes_that_there_are_not(tmp_path, monkeypatch, choice, num_classes, told):
    monkeypatch.chdir(tmp_path)
    np.save("labels.npy", np.array([0, 1, 7]))
    np.save("short.npy", np.array([0, 1]))
    np.save("floats.npy", np.zeros(3))
    (tmp_path / "text.npy").write_text("0 1 2", encoding="utf-8")
    with pytest.raises(ValueError, match=told):
        classes_of(choice, num_classes, 0, 3)
