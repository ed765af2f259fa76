"""Sampler x schedule x parameterization, all as conf/ has them: right, or refused in one line (scripts/sampler_matrix.py)."""

from pathlib import Path

import pytest
from scripts import sampler_matrix
from scripts.sampler_matrix import BOUND, ELSEWHERE, SAMPLERS, Cell, cell, model, names, sampler_of

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"


@pytest.mark.parametrize(
    ("sampler", "schedule", "parameterization"),
    [("dpm_solver_pp", "warm_up", "epsilon"), ("predictor_corrector", "sigmoid", "previous_x")],
)
def test_a_combination_is_right_as_the_page_says(sampler, schedule, parameterization):
    found = cell(model(schedule, parameterization), sampler_of(sampler))
    assert found.is_right, found
    assert found.word == sampler_matrix.recorded()[schedule][sampler]


@pytest.mark.slow
@pytest.mark.parametrize("schedule", names("schedule"))
def test_all_combinations_are_right_or_refused_as_the_page_says(schedule):
    """100 steps, 20 of second and higher order; a number of a miss would stand on the page as it is."""
    found = sampler_matrix.drawn(schedule)
    print(*(f"{schedule:25} {name:30} {one.refusal or one}" for name, one in found.items()), sep="\n")
    assert {name: one.word for name, one in found.items()} == sampler_matrix.recorded()[schedule], (
        "run python -m scripts.sampler_matrix, and then python -m scripts.write_pages docs/samplers.md"
    )
    assert not {name: one for name, one in found.items() if not (one.refusal or one.is_right)}


def test_what_is_built_and_what_is_refused_is_as_the_page_says():
    """All combinations, of which none is drawn; `table` does not take one for drawn that is refused, nor the other way."""
    assert sampler_matrix.table() in PAGE.read_text(encoding="utf-8"), (
        "run python -m scripts.write_pages docs/samplers.md"
    )
    words = sampler_matrix.recorded()
    assert words.keys() == set(names("schedule"))
    assert all(list(column) == SAMPLERS for column in words.values())
    assert set(SAMPLERS) | ELSEWHERE.keys() == set(names("sampler"))
    assert all(word in ("", "< 0.01", f"< {BOUND}") for column in words.values() for word in column.values())


@pytest.mark.parametrize(
    ("distance", "shares", "word"),
    [
        (0.009, 0.02, "< 0.01"),
        (0.01, 0.02, "< 0.03"),
        (0.03, 0.02, "0.03, shares 0.02"),
        (0.001, 0.04, "0.00, shares 0.04"),
        (float("nan"), 1.0, "nan, shares 1.00"),
    ],
)
def test_a_miss_is_told_with_its_numbers(distance, shares, word):
    assert Cell(distance, shares, "").word == word
    assert not Cell(None, 0.0, "why").word
