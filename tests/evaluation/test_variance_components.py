"""The split of the scatter between training seeds, on simulated studies whose variances are known."""

import math

import pytest
import torch

from difflab.evaluation.tables import variance_components


def test_by_hand():
    split = variance_components([1.0, 2.0, 6.0], [1.0, 2.0, 1.0])
    assert (split.mean, split.total, split.sampling, split.training) == (3.0, 7.0, 2.0, 5.0)
    assert split.std_error == pytest.approx(math.sqrt(7 / 3))
    low, high = split.interval()
    assert (high - low) / 2 == pytest.approx(4.302653 * math.sqrt(7 / 3), rel=1e-6)  # Student's, two degrees of freedom


def test_no_training_variance_is_negative():
    assert variance_components([1.0, 1.1], [0.5, 0.5]).training == 0


@pytest.mark.parametrize("training", [0.0, 0.3, 2.0])
def test_simulated_studies(training):
    """5 seeds with standard errors 0.3 ... 0.7: unbiased before it is cut at 0, and the interval covers in 95 % of 4,000 studies."""
    errors = torch.linspace(0.3, 0.7, 5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 4000, 5, dtype=torch.float64, generator=generator)
    values = 1.5 + training**0.5 * noise[0] + errors * noise[1]
    splits = [variance_components(study, errors.tolist()) for study in values.tolist()]
    unclipped = torch.tensor([split.total - split.sampling for split in splits], dtype=torch.float64)
    assert unclipped.mean() == pytest.approx(training, abs=4 * unclipped.std().item() / 4000**0.5)
    assert splits[0].sampling == pytest.approx(errors.square().mean().item())
    covered = sum(low < 1.5 < high for low, high in (split.interval() for split in splits)) / len(splits)
    assert covered == pytest.approx(0.95, abs=0.012)


def test_errors():
    with pytest.raises(ValueError, match="train another one"):
        variance_components([1.0], [0.1])
    with pytest.raises(ValueError, match="2 values but 1 standard errors"):
        variance_components([1.0, 2.0], [0.1])
    with pytest.raises(ValueError, match="must be finite"):
        variance_components([1.0, math.nan], [0.1, 0.1])
