"""The sliced Wasserstein distance against closed forms."""

import math

import torch

from difflab.evaluation import FeatureReference
from difflab.features import Features, FeatureSet, Identity
from difflab.metrics import SlicedWasserstein

PLANE = Identity("values", 2, "none")


def distance(x: torch.Tensor, y: torch.Tensor, directions: int = 512) -> float:
    samples, reference = (FeatureSet.of(PLANE, Features(z.float())) for z in (x, y))
    return SlicedWasserstein(directions).measure(samples, FeatureReference(reference))["sw_values"]


def test_a_shift_moves_every_projection_by_its_part():
    """W_1 of a shift by s is |u . s|, whose mean over the circle is 2 |s| / pi."""
    x = torch.randn(300, 2, dtype=torch.float64)
    found = distance(x, x + torch.tensor([3.0, 4.0]))
    assert math.isclose(found, 5 * 2 / math.pi, rel_tol=0.08)  # 512 directions: a standard error of 2 %
    assert distance(x, x[torch.randperm(300)]) == 0


def test_numbers_of_points_may_differ():
    x = torch.randn(200, 2)
    assert distance(x, x.repeat(3, 1)) < 1e-6
    assert distance(x[:150], x) > 0
