"""Averages made afterwards are those that would have been tracked."""

import numpy as np
import pytest
import torch
from torch import nn

from difflab.ema import PostHoc, PowerFunction, Tracks

STEPS = 1000


def walk(seed: int = 0) -> torch.Tensor:
    """Weights of STEPS steps: a drift with noise, as training gives."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(STEPS, 50, generator=generator, dtype=torch.float64)
    return (
        torch.linspace(0, 3, STEPS, dtype=torch.float64).sqrt()[:, None] + noise.cumsum(0) / 30 + 0.1 * noise
    ).float()


@pytest.fixture(scope="module")
def trained():
    """Tracks of three lengths, and the snapshots of two of them."""
    stds = {"short": 0.05, "long": 0.10, "between": 0.07, "shorter": 0.04}
    tracks = Tracks({name: PowerFunction(std) for name, std in stds.items()})
    module = nn.Linear(50, 1, bias=False)
    snapshots = []
    tracks.start(module)
    for step, weights in enumerate(walk(), start=1):
        with torch.no_grad():
            module.weight.copy_(weights)
        tracks.update(module)
        if step % 50 == 0:
            for name in ("short", "long"):
                snapshots.append((step, stds[name], {"weight": tracks.shadows[name]["weight"].clone()}))
    return tracks, stds, snapshots


def reconstructed(snapshots, std):
    posthoc = PostHoc(std)
    steps, lengths, weights = zip(*snapshots, strict=True)
    return posthoc.combine(weights, posthoc.coefficients(steps, lengths, STEPS))["weight"]


@pytest.mark.parametrize("name", ["between", "shorter"])
def test_an_average_between_is_the_tracked_one(trained, name):
    tracks, stds, snapshots = trained
    direct = tracks.shadows[name]["weight"]
    distance = (reconstructed(snapshots, stds[name]) - direct).norm()
    # what it would be to take the nearest tracked average instead
    nearest = (tracks.shadows["short"]["weight"] - direct).norm()
    assert distance < 0.05 * nearest


@pytest.mark.parametrize("name", ["short", "long"])
def test_a_saved_average_is_itself(trained, name):
    tracks, stds, snapshots = trained
    torch.testing.assert_close(
        reconstructed(snapshots, stds[name]), tracks.shadows[name]["weight"], atol=1e-5, rtol=1e-5
    )


def test_coefficients_of_an_average_sum_to_one():
    steps = np.repeat(np.arange(100, 1001, 100), 2)
    coefficients = PostHoc(0.07).coefficients(steps.tolist(), [0.05, 0.1] * 10, 1000)
    assert coefficients.sum() == pytest.approx(1, abs=1e-3)


def test_snapshots_of_the_future_are_refused():
    with pytest.raises(ValueError, match="snapshots up to that step"):
        PostHoc(0.05).coefficients([100, 200], [0.05, 0.1], 150)
