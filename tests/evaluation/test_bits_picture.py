"""Where the bits of a bound are, against a Gaussian of which everything is known."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.data import GaussianMixture
from difflab.evaluation import BoundSums, Measurement, Results
from difflab.evaluation.bits_picture import BoundTerms, Line, draw_bits, lines_of, picture_of_files, terms_of
from difflab.metrics import MetricInfo, Protocol
from difflab.noise import ImageNoise
from difflab.objectives import bound_steps, prior_bits
from difflab.reading import FileError
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, cosine
from difflab.types import Condition
from difflab.variances import FixedSmall

MEAN, STD, N = 0.1, 0.25, 1500
GAUSSIAN = GaussianMixture(torch.full((1, 1, 2, 2), MEAN), [1.0], std=STD)


@pytest.fixture(scope="module")
def measured():
    """The bound of the exact denoiser on 8-bit images of a Gaussian, by a chain of 40 steps."""
    schedule = cosine(400)
    chain = Chain(schedule, UniformGrid(40)(schedule))
    noise = ImageNoise(3, torch.arange(N))
    x_0 = ((GAUSSIAN.sample(noise, torch.zeros(N, dtype=torch.int64)) + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    sums = BoundSums(chain.times)
    steps = bound_steps(x_0, Condition(), GAUSSIAN.denoiser(schedule), FixedSmall(), chain, noise)
    sums.update(prior_bits(x_0, chain), steps)
    return sums.result(), chain, x_0


def results_with(terms, metric="bits_per_dim", seed=0, **about) -> Results:
    number = Measurement.of(
        metric, 3.0, 12, Protocol({"samples": 12}), MetricInfo(higher_is_better=False, unit="bits/dim"), 0.1, 12
    )
    return Results([number], {"run": "gaussian", "seed": seed, metric: terms, **about})


def test_rates_sum_to_the_bound_and_distortions_are_those_of_the_exact_denoiser(measured):
    result, chain, x_0 = measured
    terms = terms_of(Results.from_json(results_with(result.to_dict()).to_json()), "results.json")
    assert terms is not None
    rate, distortion = terms.rate, terms.distortion
    assert len(rate) == len(distortion) == 41
    assert rate[0] == pytest.approx(result.prior)
    assert rate[-1] == pytest.approx(result.value, rel=1e-12)
    assert rate == sorted(rate)
    assert (np.diff(distortion) < 0.1).all()  # up to the noise of so many images
    assert distortion[0] == pytest.approx(255 / 2 * x_0.std().item(), rel=0.01)  # nothing is known of x_0 at t = 1
    assert distortion[-1] == 0.0
    alpha, sigma = (level[1:].flip(0) for level in chain.level)
    exact = 127.5 * STD * sigma / (alpha**2 * STD**2 + sigma**2).sqrt()
    np.testing.assert_allclose(distortion[:-1], exact, rtol=0.05)
    # whoever has x_t lacks log2 of what is left of a grey level's interval: the entropy of x_0 given x_t
    left = result.value - np.array(rate[:-1])
    entropy = np.log2(exact / 127.5 * math.sqrt(2 * math.pi * math.e) * 127.5)
    assert (left >= entropy.numpy() - 0.1).all()


def test_seeds_of_one_chain_are_one_line_with_their_mean():
    a = BoundTerms(3.0, 0.5, 10, [0.5, 1.0], [2.0, 0.5], [0.01, 0.1])
    b = BoundTerms(4.0, 0.7, 10, [0.5, 1.0], [3.0, 0.3], [0.03, 0.3])
    other = BoundTerms(4.0, 0.7, 10, [1.0], [3.3], [0.3])
    lines = lines_of([("digits", a), ("digits", b), ("digits", other), ("moons", a)])
    assert [(line.name, len(line.seeds)) for line in lines] == [("digits", 2), ("digits", 1), ("moons", 1)]
    mean = BoundTerms.mean(lines[0].seeds)
    assert (mean.value, mean.prior, mean.samples) == (3.5, pytest.approx(0.6), 20)
    assert mean.vb == [2.5, 0.4]
    assert mean.rate == pytest.approx([0.6, 1.0, 3.5])
    assert mean.distortion == pytest.approx([127.5 * math.sqrt(0.2), 127.5 * math.sqrt(0.02), 0])


def test_numbers_without_steps_have_no_terms_and_damaged_ones_are_named():
    assert terms_of(Results([], {"checkpoint": "a.ckpt"}), "results.json") is None
    assert terms_of(results_with(None), "results.json") is None
    flow = {
        "value": 3.0,
        "std_error": 0.1,
        "samples": 12,
        "prior": 3.0,
        "steps": {key: [] for key in ("t", "vb", "x0_mse")},
    }
    assert terms_of(results_with(flow, "bits_per_dim_flow"), "results.json") is None
    uneven = {**flow, "steps": {"t": [1.0], "vb": [1.0], "x0_mse": []}}
    with pytest.raises(FileError, match=r"A/results.json: subject.bits_per_dim.steps: expected as many numbers"):
        terms_of(results_with(uneven), "A/results.json")


def test_files_of_several_runs_are_drawn_over_each_other_and_again_with_the_same_bytes(measured, tmp_path):
    result, *_ = measured
    for seed in (0, 1):
        folder = tmp_path / f"run {seed}"
        folder.mkdir()
        shifted = {**result.to_dict(), "prior": 0.1 * seed}
        (folder / "results.json").write_text(results_with(shifted, seed=seed).to_json(), encoding="utf-8")
    files = [str(tmp_path / "run 0"), str(tmp_path / "run 1" / "results.json")]
    picture = tmp_path / "both" / "bits.png"
    assert list(picture_of_files(files, picture.parent)) == [f"bits     {picture}"]
    both = picture.read_bytes()
    assert Image.open(picture).width >= 1000
    assert list(picture_of_files(files, picture.parent))
    assert picture.read_bytes() == both
    draw_bits([Line("gaussian seed 0", [terms_of(results_with(result.to_dict()), "")])], picture, "one")
    assert picture.read_bytes() != both
