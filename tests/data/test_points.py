"""Points of the plane: standardised, functions of their seed, known by how they are made."""

import pytest
import torch

from difflab.data import ArrayPoints, Checkerboard, DataError, Moons, SwissRoll
from difflab.data.subset import at_most

SETS = (SwissRoll, Moons, Checkerboard)


@pytest.mark.parametrize("kind", SETS)
def test_a_set_is_standardised_and_a_function_of_its_seed(kind):
    one, same, other = kind(4000), kind(4000), kind(4000, seed=1)
    points = one.images(range(len(one)))
    assert points.shape == (4000, 2)
    assert points.dtype == torch.float32
    assert one.shape == (2,)
    assert points.mean(0).abs().max() < 0.06
    assert (points.std(0) - 1).abs().max() < 0.09
    assert torch.equal(points, same.images(range(4000)))
    assert not torch.equal(points, other.images(range(4000)))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_the_board_has_eight_fields_of_one_colour():
    points = Checkerboard(4000).images(range(4000)) * 1.155 + 2
    column, row = points.clamp(0, 3.9999).floor().long().T
    assert ((column + row) % 2 == 0).all()
    assert len({*zip(column.tolist(), row.tolist(), strict=True)}) == 8


def test_moons_have_a_class_each():
    moons = Moons(100)
    assert moons.num_classes == 2
    assert moons.labels is not None
    assert moons.labels.bincount().tolist() == [50, 50]
    assert at_most(moons, 10).shape == (2,)


def test_what_is_no_set_of_points_is_refused():
    with pytest.raises(DataError, match="expected finite points"):
        ArrayPoints(torch.zeros(3, 1, 2))
    with pytest.raises(DataError, match="expected finite points"):
        ArrayPoints(torch.tensor([[0.0, torch.nan]]))
    with pytest.raises(DataError, match="at least one point"):
        SwissRoll(0)
    points = torch.randn(5, 3)
    assert ArrayPoints(points).fingerprint == ArrayPoints(points.clone()).fingerprint
    assert ArrayPoints(points).fingerprint != ArrayPoints(points + 1).fingerprint
