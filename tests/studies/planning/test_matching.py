"""The nearest network, against trying all of them."""

import random

import pytest

from difflab.networks import Network
from difflab.studies.planning.facts import match
from difflab.studies.spec import StudyError

WIDTHS, DEPTHS = Network.sizes["width"], Network.sizes["depth"]


def square(value: int) -> float:
    return 7.0 * value**2 + 300 * value + 1000


def heads_of(width: int):
    """As attention with heads of a fixed width: only multiples can be built."""

    def count(value: int) -> float:
        if value % width:
            raise ValueError(f"heads of {width} channels do not divide {value}")
        return square(value)

    return count


@pytest.mark.parametrize("unit", [8, 16, 32, 64])
def test_the_nearest_buildable_width_is_found(unit):
    draw = random.Random(unit)
    for _ in range(200):
        before, wanted = unit * draw.randint(1, 20), square(draw.randint(1, 1500))
        found = match("network.width", before, heads_of(unit), wanted, WIDTHS, tolerance=1e9)
        best = min(range(unit, 3000, unit), key=lambda value: abs(square(value) - wanted))
        assert abs(square(found.value) - wanted) == abs(square(best) - wanted)
        assert found.difference == pytest.approx(square(found.value) / wanted - 1)


def test_depth_is_solved_for_one_by_one():
    found = match("network.depth", 2, lambda depth: 100.0 * depth + 50, 740, DEPTHS)
    assert (found.value, found.overrides) == (7, ("network.depth=7",))
    assert str(found) == "network.depth=7 (+1.35 %)"


def test_few_networks_are_counted():
    """Counting one can take a second."""
    for before, wanted in ((64, 129), (128, 60), (128, 121), (160, 163), (256, 1000)):
        seen: list[int] = []

        def count(value: int, seen: list[int] = seen) -> float:
            seen.append(value)
            return square(value)

        match("network.width", before, count, square(wanted), WIDTHS, tolerance=1e9)
        assert len(seen) == len(set(seen))
        assert len(seen) <= 6


def test_a_row_of_the_right_size_stays_as_it_is():
    found = match("network.width", 100, square, square(100), WIDTHS)
    assert (found.value, found.difference, found.overrides) == (100, 0.0, ())


def test_narrow_networks_are_solved_for_more_finely():
    assert match("network.width", 24, square, square(26), WIDTHS).value == 26
    assert match("network.width", 512, square, square(522), WIDTHS).value == 520, "8 is fine enough"
    with pytest.raises(StudyError, match=r"network.width=12 \(-\d.*network.width=14 \(\+\d"):
        match("network.width", 24, square, square(13), WIDTHS, tolerance=0.001)


def test_the_best_may_not_be_good_enough():
    with pytest.raises(StudyError) as caught:
        match("network.depth", 2, lambda depth: 100.0 * depth, 250, DEPTHS)
    assert "nothing comes within 5 %" in str(caught.value)
    assert "network.depth=2 (-20.0 %) and network.depth=3 (+20.0 %)" in str(caught.value)
    assert match(
        "network.depth", 2, lambda depth: 100.0 * depth, 250, DEPTHS, tolerance=0.2
    ).difference == pytest.approx(-0.2)
    with pytest.raises(StudyError, match=r"nearest are network.width=64 \(\+"):
        match("network.width", 64, heads_of(64), 10.0, WIDTHS)


def test_what_cannot_be_built_at_all_says_why():
    def none(value: int) -> float:
        raise ValueError("5 heads do not divide the channels")

    with pytest.raises(StudyError, match=r"network.width=64: no multiple of .* can be built: 5 heads do not divide"):
        match("network.width", 64, none, 10.0, WIDTHS)
