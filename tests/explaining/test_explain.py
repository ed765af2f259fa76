"""`difflab explain` of configurations: the page, the pictures, the rows, and what is refused."""

import base64
import io
import math
import re

import pytest
import torch
from PIL import Image

from difflab.cli.explain import explain, main
from difflab.config.groups import ConfigError
from difflab.config.side_by_side import side_by_side
from difflab.config.sweep_rows import Ended
from difflab.data import GaussianMixture
from difflab.explaining.noised import Examples, bits_left, is_scaled, strip
from difflab.explaining.row import Row
from difflab.noise import ImageNoise
from difflab.schedules import EDM, cosine, linear
from difflab.spaces import Points

WORDS = ["schedule=[linear,edm]", "sampler.grid.steps=7"]


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """The issue's own example, in a path with a space: edm under the base's hybrid objective."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("a folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        explain([*WORDS, "out=shown here"])
    return folder / "shown here"


def test_the_page_holds_all_it_shows_and_the_pictures_are_there(explained):
    page = (explained / "explain.html").read_text(encoding="utf-8")
    assert not [one for one in re.findall(r'(?:src|href)="([^"]*)"', page) if not one.startswith(("#", "data:"))]
    assert str(explained.parent) not in page
    assert {path.name for path in explained.iterdir()} == {
        "explain.html",
        *(f"{name}.png" for name in ("schedules", "grids", "training", "noised")),
    }
    for path in explained.glob("*.png"):
        assert min(Image.open(path).size) > 300


def test_each_row_is_drawn_with_its_own_numbers(explained):
    page = (explained / "explain.html").read_text(encoding="utf-8")
    figures = set(re.findall(r'id="figure-(\w+)"', page))
    assert figures == {"alpha", "sigma", "log_snr", "betas", "grid", "density", "weight"}
    alpha_1 = float(cosine(1000)(torch.ones(1).double()).alpha)
    cells = re.search(r'<tbody>\s*<tr><th scope="row">.*?linear</th><td[^>]*data-value="([^"]+)"', page, re.DOTALL)
    assert cells
    assert float(cells[1]) == pytest.approx(float(linear(1000)(torch.ones(1).double()).alpha))
    assert float(cells[1]) != pytest.approx(alpha_1)
    assert "continuous time" in page
    assert page.count("7 steps") >= 4
    assert "(edm), x_t is shown divided by its root" in page


def test_images_get_the_same_noise_in_every_row(explained):
    """Both are clean at t = 0 and, scaled alike, all but pure noise at t = 1: nearly the same picture there."""
    page = (explained / "explain.html").read_text(encoding="utf-8")
    images = [Image.open(io.BytesIO(base64.b64decode(one))) for one in re.findall(r"base64,([^\"]+)", page)]
    assert len(images) == 20
    pixels = [torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).float() for image in images]
    assert torch.equal(pixels[0], pixels[10])
    assert (pixels[9] - pixels[19]).abs().mean() < 4
    assert (pixels[3] - pixels[13]).abs().mean() > 10


def test_bits_left_are_those_of_a_gaussian():
    """KL(N(alpha x_0, sigma^2) || N(0, 1)) with E x_0^2 = spread^2 + std^2 known, in bits."""
    mixture = GaussianMixture(torch.tensor([[0.6, -0.6]]), [1.0], 0.5)
    noise = ImageNoise(0, torch.arange(20_000))
    examples = Examples(mixture.sample(noise, mixture.sample_labels(noise)), Points())
    row = Row("it", linear(100), None, None, None)
    alpha, sigma = (float(one) for one in row.schedule(torch.ones(1).double()))
    expected = (alpha**2 * (0.36 + 0.25) + sigma**2 - 1 - math.log(sigma**2)) / (2 * math.log(2))
    assert bits_left(row, examples) == pytest.approx(expected, rel=0.02)
    assert bits_left(row, None) is None


def test_a_cloud_is_seen_at_every_level_of_a_schedule_that_explodes():
    examples = Examples(torch.randn(200, 2, generator=torch.Generator().manual_seed(0)), Points())
    row = Row("it", EDM(), None, None, None)
    assert is_scaled(row)
    assert not is_scaled(Row("it", cosine(1000), None, None, None))
    for image in strip(row, examples):
        blue = (
            (torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(-1, 3)[:, 0] < 200).float().mean()
        )
        assert blue > 0.02


def test_lists_and_commas_make_rows():
    sides, out = side_by_side("explain", ["schedule=[cosine,linear]", "sampler.grid.steps=10,25", "embedder=[label]"])
    assert [side.name for side in sides] == [
        f"schedule={schedule} sampler.grid.steps={steps}" for schedule in ("cosine", "linear") for steps in (10, 25)
    ]
    assert sides[1].parts["sampler"]["grid"]["steps"] == 25
    assert out == "explain"
    ((side,), _) = side_by_side("explain", ["experiment=swiss_roll", "steps=12"])
    assert (side.name, side.parts["sampler"]["grid"]["steps"]) == ("swiss_roll", 12)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("schedule=cosin", "did you mean 'cosine'"),
        ("schedule=[linear,cosin]", "did you mean 'cosine'"),
        ("schedule=[]", "names no row|no row: name at least one"),
        ("sheduel=cosine", "unknown key 'sheduel'"),
        ("out=a,b", "one folder holds all rows"),
        ("schedule.steps=" + ",".join(map(str, range(100, 130))), "at most 24"),
    ],
)
def test_what_cannot_be_read_is_a_line(word, says):
    with pytest.raises(ConfigError, match=says):
        side_by_side("explain", [word])


def test_a_grid_that_cannot_be_walked_is_a_line_before_anything_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["explain.py", "schedule=[linear,edm]", "sampler.grid.steps=5000"])
    with pytest.raises(Ended) as end:
        main()
    assert end.value.status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: linear: sampler.grid: cannot take 5000 sampling steps out of 1000")
    assert not any(tmp_path.iterdir())


def test_data_that_are_not_at_hand_are_not_fetched(monkeypatch, tmp_path, capsys):
    from difflab.explaining.noised import examples_of
    from difflab.explaining.row import row_of

    monkeypatch.chdir(tmp_path)
    ((side,), _) = side_by_side("explain", ["data=cifar10"])
    row = row_of(side.name, side.parts)
    assert examples_of([row], [side.parts]) == [None]
    assert row.notes == ["no images: its data are not at hand"]
    assert "is not downloaded for this" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
