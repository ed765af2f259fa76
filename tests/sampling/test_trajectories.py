"""How images emerge from noise: beside a set, without which the set is the same, to the last bit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.cli.sample import checked
from difflab.noise import ImageNoise, NoiseBetween
from difflab.samplers import Recorder
from difflab.samplers.sampler import Moment
from difflab.sampling.animations import Classes, Walk
from difflab.sampling.beside import Beside
from difflab.sampling.build import plan_stages
from difflab.sampling.drawer import Drawer
from difflab.sampling.strips import LEFT, Tiles, film, strip
from running import SHORT, Outcome, composed, sample_from, train_small

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    return train_small(tmp_path_factory.mktemp("runs"), *SHORT, "eval.every=2", "network.width=8")


def pixels(folder: Path) -> np.ndarray:
    (path,) = folder.glob("samples_*.npz")
    return np.load(path)["arr_0"]


def as_pixels(x0: np.ndarray) -> np.ndarray:
    return ((x0 + 1) * 127.5).round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "trajectory.npz") as file:
        return dict(file)


def test_a_trajectory_ends_in_the_samples_and_leaves_them_as_they_are(outcome, tmp_path):
    words = ("num_samples=10", "batch_size=5", "sampler=ddpm", "steps=6")
    sample_from(outcome.run.path, tmp_path / "set", *words)
    plan = (tmp_path / "set" / "plan.json").read_bytes()
    printed = sample_from(outcome.run.path, tmp_path / "with one", *words, "trajectory=4")
    assert any("trajectory.png" in line for line in printed)
    for name in ("samples_10x8x8x1.npz", "grid.png", "complete.json"):
        assert (tmp_path / "set" / name).read_bytes() == (tmp_path / "with one" / name).read_bytes(), name
    found = arrays(tmp_path / "with one")
    assert found["seeds"].tolist() == [0, 1, 2, 3, 4]
    assert found["t"].tolist() == sorted(found["t"], reverse=True)
    assert found["x_t"].shape == found["x0"].shape == (4, 5, 1, 8, 8)
    assert np.array_equal(found["x_t"][0], ImageNoise(0, torch.arange(5)).normal("x_T", (1, 8, 8)).float().numpy())
    assert np.array_equal(as_pixels(found["x0"][-1]), pixels(tmp_path / "with one")[:5])
    # of a set that is complete the first batch is drawn once more, and nothing else
    assert "already complete" in sample_from(outcome.run.path, tmp_path / "set", *words, "trajectory=4")[0]
    assert all(np.array_equal(found[name], one) for name, one in arrays(tmp_path / "set").items())
    assert (tmp_path / "set" / "plan.json").read_bytes() != plan  # it is known that the files belong to the set
    assert "already complete" in sample_from(outcome.run.path, tmp_path / "set", *words)[0]
    with Image.open(tmp_path / "set" / "trajectory.gif") as film:
        assert film.n_frames == 7
    sample_from(outcome.run.path, tmp_path / "set", "num_samples=10", "batch_size=5", "steps=3", "overwrite=true")
    assert not list((tmp_path / "set").glob("trajectory.*")), "it goes when the set does"


def test_more_moments_than_steps_are_all_of_them(outcome, tmp_path):
    sample_from(outcome.run.path, tmp_path, "num_samples=2", "steps=3", "trajectory=50")
    found = arrays(tmp_path)
    assert len(found["t"]) == 4
    assert found["t"][-1] == 0
    assert len(np.unique(found["x0"].reshape(4, -1), axis=0)) >= 3


@pytest.mark.parametrize("height", [13, 128])
def test_labels_of_a_strip_do_not_lie_over_each_other(height):
    """However low the images are: a heartbeat is one pixel high. The rows with a name's ink have none of `x_t` and `x_0`."""

    def drawn(names: list[str]) -> Tiles:
        pictures = [[Image.new("RGB", (64, height), "red")] * 2 for _ in names]
        return Tiles(["1.00", "0.00"], ["100 %", "0 %"], names, pictures, pictures)

    def inked(names: list[str]) -> np.ndarray:
        return (np.asarray(strip(drawn(names)))[50:, :LEFT] < 250).any((1, 2))

    with_names, without = inked(["seed 0", "seed 1"]), inked([" ", " "])
    named = with_names & ~without
    assert named.sum() > 10
    bands = np.flatnonzero(np.diff(np.concatenate([[0], without, [0]])) == 1)
    assert len(bands) >= 4, "x_t and x_0 of both images are apart"
    assert np.array_equal(inked(["seed 0", "seed 0"]) & without, without)
    first = np.flatnonzero(named)[np.flatnonzero(named) < bands[1]]
    assert first.max() < np.flatnonzero(without).min(), "the name is above x_t"
    red = (np.asarray(strip(drawn(["seed 0"])))[:, LEFT] == (255, 0, 0)).all(1)
    assert red.sum() == 2 * height, "and the images are whole"
    assert film(drawn(["seed 0"]))[0].height >= 2 * height


def refusal(capsys, checkpoint: object, out: Path, *words: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        sample_from(checkpoint, out, "num_samples=2", *words)
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trajectory=1"], "give at least 2"),
        (["trajectory=10", "steps=1"], "trajectory=10: this model draws in one step"),
        (["animate=reverse", "steps=1"], "animate=reverse: this model draws in one step"),
        (["animate=classes", "classes=3"], "all images are drawn for the same condition"),
        (["animate=walk", "frames=2"], "animate.keys=3: at least 2, and at most frames=2"),
        (["animate=walk", "frames=1"], "frames=1"),
        (["animate=walk", "animate.images=0"], "animate.images=0"),
    ],
)
def test_what_cannot_be_shown_is_one_line_before_any_work(outcome, tmp_path, capsys, words, told):
    assert told in refusal(capsys, outcome.run.path, tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def planned(outcome: Outcome, out: Path, *words: str) -> Beside:
    config = composed("sample", f"checkpoint={outcome.run.path}", f"out={out}", "accelerator=cpu", *words)
    return Beside(plan_stages(checked(config), out))


def drawn(beside: Beside, seeds: torch.Tensor) -> torch.Tensor:
    draw, job = Drawer(beside.job, CPU), beside.job
    return draw.drawn(ImageNoise(0, seeds), job.conditions(seeds), draw.guided())


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_at_a_key_a_walk_shows_the_samples_of_a_seed(outcome, tmp_path, sampler):
    """Also where the steps draw noise; and it has moved on between two of them."""
    words = ("animate=walk", "frames=4", "animate.keys=2", "animate.images=3", f"sampler={sampler}", "steps=5")
    beside = planned(outcome, tmp_path, *words, "batch_size=3")
    film = beside.animation.draw(Drawer(beside.job, CPU), lambda done: None)
    assert film.shape == (4, 3, 1, 8, 8)
    seeds = torch.arange(3)
    torch.testing.assert_close(film[0], drawn(beside, seeds), rtol=0, atol=0)
    torch.testing.assert_close(film[2], drawn(beside, seeds + 10), rtol=0, atol=1e-5)  # the next of the same class
    assert (film[1] - film[0]).abs().max() > 0.05
    assert (film[1] - film[2]).abs().max() > 0.05


def test_at_a_key_the_classes_show_the_samples_of_a_class(outcome, tmp_path):
    words = ("animate=classes", "frames=4", "animate.keys=2", "animate.images=3", "steps=5", "batch_size=3")
    beside = planned(outcome, tmp_path, *words)
    film = beside.animation.draw(Drawer(beside.job, CPU), lambda done: None)
    seeds = torch.arange(3)
    torch.testing.assert_close(film[0], drawn(beside, seeds), rtol=0, atol=1e-5)
    draw, job = Drawer(beside.job, CPU), beside.job
    of_the_next = draw.drawn(ImageNoise(0, seeds), job.conditions(seeds + 1), draw.guided())
    torch.testing.assert_close(film[2], of_the_next, rtol=0, atol=1e-5)
    assert (film[1] - film[0]).abs().max() > 1e-3
    assert (film[1] - film[2]).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "frames"), [("walk", (4,)), ("reverse", (3, 4))])
def test_a_film_lies_beside_the_set(outcome, tmp_path, name, frames):
    """Of equal frames, as the last ones of a model that has learnt little may be, a GIF has one."""
    sample_from(outcome.run.path, tmp_path, f"animate={name}", "frames=4", "num_samples=4", "steps=4")
    with Image.open(tmp_path / f"{name}.gif") as film:
        assert film.n_frames in frames
        assert film.info["loop"] == 0
    assert (tmp_path / "samples_4x8x8x1.npz").is_file()


def test_every_key_is_a_frame_and_the_way_between_them_is_even():
    keys, us = Walk(frames=7, images=1, keys=3).places
    assert keys.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert us.tolist() == pytest.approx([0, 1 / 2, 0, 1 / 3, 2 / 3, 0, 1 / 2])
    assert Classes(frames=3, images=1, keys=3).places[1].tolist() == [0, 0, 0]


def test_noise_between_two_images_is_noise():
    """Standard normal all the way, and its ends are those of the images."""
    a, b = ImageNoise(0, torch.arange(4000)), ImageNoise(0, torch.arange(4000, 8000))
    for u, end in ((0.0, a), (1.0, b)):
        between = NoiseBetween(a, b, torch.full((4000,), u)).normal("x_T", (2,))
        torch.testing.assert_close(between, end.normal("x_T", (2,)), rtol=0, atol=1e-12)
    for u in (0.25, 0.5, 0.8):
        between = NoiseBetween(a, b, torch.full((4000,), u)).normal("step", (2,), step=3)
        assert between.std().item() == pytest.approx(1, abs=0.03)
        assert between.mean().item() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("steps", [1, 5, 16, 100, 997])
def test_a_recorder_keeps_moments_evenly_of_any_number_of_steps(steps):
    recorder = Recorder(2, 16)
    for step in range(steps, 0, -1):
        recorder(Moment(step / steps, torch.full((3, 1), float(step)), torch.zeros(3, 1)))
        assert not recorder.is_done
    recorder(Moment(0.0, torch.zeros(3, 1), torch.zeros(3, 1)))
    kept = recorder.moments
    assert min(steps, 15) + 1 <= len(kept) <= 32
    assert kept.x_t.shape == (len(kept), 2, 1)
    gaps = -kept.t.diff()[:-1] * steps
    assert len(gaps) == 0 or gaps.max() - gaps.min() < 1e-9
    few = kept.spread(4)
    assert (few.t[0], few.t[-1]) == (1, 0)
    assert len(few) == min(4, steps + 1)


def test_a_run_keeps_a_strip_of_its_last_evaluation_alone(outcome):
    names = sorted(path.name for path in outcome.run.samples.iterdir())
    assert names == ["trajectory_00000004.png", "warm_up_00000002.png", "warm_up_00000004.png"]
    assert outcome.run.last_grid().name == "warm_up_00000004.png"
    assert outcome.run.pictures(4).keys() == {"trajectory", "warm_up"}, "what W&B is sent"
    with Image.open(outcome.run.strips()[-1]) as picture:
        assert picture.width > 5 * 64
        seen = np.asarray(picture.convert("RGB"))
    with Image.open(outcome.run.last_grid()) as grid:
        first = np.asarray(grid.convert("RGB"))[2:66, 2:66]
    # the last column is the first image of the grid
    corners = [
        (y, seen.shape[1] - 66) for y in range(seen.shape[0] - 64) if np.array_equal(seen[y : y + 64, -66:-2], first)
    ]
    assert len(corners) == 2, "as x_t and as x_0"


@pytest.mark.slow
def test_a_strip_is_there_after_a_restart_and_the_same(outcome, tmp_path, monkeypatch):
    from running import train_until

    train_until(3, monkeypatch, tmp_path, *SHORT, "eval.every=2", "network.width=8")
    again = train_small(tmp_path, *SHORT, "eval.every=2", "network.width=8").run
    assert again.strips()[-1].read_bytes() == outcome.run.strips()[-1].read_bytes()


@pytest.mark.slow
def test_two_processes_show_what_one_shows(outcome, tmp_path):
    words = ["num_samples=12", "batch_size=4", "trajectory=5", "steps=6", "animate=walk", "frames=4"]
    sample_from(outcome.run.path, tmp_path / "one", *words)
    command = [sys.executable, "sample.py", f"checkpoint={outcome.run.path}", f"out={tmp_path / 'two'}", *words]
    for _ in range(2):  # the second time of a set that is complete
        done = subprocess.run(
            [*command, "accelerator=cpu", "devices=2"],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            encoding="utf-8",
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for name in ("trajectory.png", "trajectory.gif", "walk.gif", "samples_12x8x8x1.npz"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
