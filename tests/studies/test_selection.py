"""Sweeps, fronts and a choice that is not flattered by luck."""

import numpy as np
import pytest
from PIL import Image

from difflab.evaluation import Measurement, Point, Setting, choose, draw_front, on_front, settings
from difflab.metrics import Protocol
from fabricated import info

PROTOCOL = Protocol.of({})


def measured(metric: str, value: float) -> Measurement:
    return Measurement(
        metric,
        value,
        100,
        PROTOCOL,
        std_error=0.1,
        replicates=50,
        info=info(metric, extractor="digits" if metric.endswith("_digits") else "inception"),
    )


def test_all_combinations_in_one_order():
    found = settings({"scale": [1, 2.5], "sampler": ["ddim", "ddpm"], "steps": []})
    assert [s.values for s in found] == [
        {"sampler": "ddim", "scale": 1},
        {"sampler": "ddim", "scale": 2.5},
        {"sampler": "ddpm", "scale": 1},
        {"sampler": "ddpm", "scale": 2.5},
    ]
    assert found[1].label == "ddim, w = 2.5"
    assert found[1].without("scale").label == "ddim"
    assert settings({}) == [Setting({})]
    (inner,) = settings({"s_churn": [40], "scale": [2], "sampler.grid.steps": [5], "sampler": ["ddim"]})
    assert list(inner.values) == ["sampler", "sampler.grid.steps", "scale", "s_churn"]
    assert inner.label == "ddim, steps = 5, w = 2, s_churn = 40"


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"guide.scale": [1]}, "sweep.guide.scale: did you mean 'guidance'"),
        ({"steps": [5, 5]}, "different"),
        ({"steps": [[5]]}, "no number and no word"),
        ({"track": "ema"}, "a list"),
        ({"steps": 5}, "a list"),
        ({"scale": [1, "x"]}, r"sweep\.scale=x must be a number"),
    ],
)
def test_a_sweep_over_nothing_known_is_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        settings(axes)


def test_the_front_is_what_none_beats_in_both():
    values = [(1, 1), (2, 3), (3, 2), (2, 2), (3, 2)]  # fid is better low, is better high
    points = [Point(measured("fid", x), measured("is", y), "line", "") for x, y in values]
    assert on_front(points) == [True, True, False, False, False]


def test_the_better_direction_decides():
    low, high = [measured("fid_inf", 2.0), measured("fid_inf", 1.0)], [measured("recall_digits", v) for v in (0.2, 0.9)]
    assert choose(low, low).index == 1
    assert choose(high, high).index == 1
    with pytest.raises(ValueError, match="one metric decides"):
        choose(low, high)


def test_the_reported_number_is_not_the_luckiest():
    """Twenty equally good settings: the best on one half is 1.87 standard deviations too good there, and not on the other."""
    random = np.random.default_rng(0)
    choices = []
    for _ in range(400):
        first, second = random.normal(10, 1, (2, 20))
        choices.append(choose([measured("fid", v) for v in first], [measured("fid", v) for v in second]))
    assert np.mean([c.chosen_by.value for c in choices]) == pytest.approx(10 - 1.867, abs=0.1)
    assert np.mean([c.reported.value for c in choices]) == pytest.approx(10, abs=4 / 400**0.5)


def test_the_picture_shows_every_line(tmp_path):
    points = [
        Point(measured("fid", 5 + i + worse), measured("is", 8 + i), line, f"w = {i}")
        for worse, line in enumerate(("ddim", "ddpm"))
        for i in range(3)
    ]
    draw_front(points, tmp_path / "front.png", "a front")
    pixels = np.asarray(Image.open(tmp_path / "front.png").convert("RGB")).reshape(-1, 3)
    blue, orange = np.array([31, 119, 180]), np.array([255, 127, 14])
    for color in (blue, orange):
        assert (np.abs(pixels - color).sum(1) < 10).sum() > 50
