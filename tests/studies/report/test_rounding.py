"""Numbers as their uncertainty allows."""

import math
import random

import pytest

from difflab.formatting import decimals, probability, rounded, scaled, signed


@pytest.mark.parametrize(
    ("value", "half_width", "expected"),
    [
        (13.4567, 0.1234, ("13.46", "0.12")),
        (812.3, 123.4, ("810", "120")),
        (1.2345, 0.0996, ("1.23", "0.10")),
        (1.2345, 0.0994, ("1.234", "0.099")),
        (-0.001, 0.12, ("0.00", "0.12")),
        (0.5, 9.96, ("0", "10")),
        (2.5e-6, 1.1e-6, ("0.0000025", "0.0000011")),
        (1e25, 0.01, ("10000000000000000000000000.000", "0.010")),
        (15.33, None, ("15.33", None)),
        (9.9996, None, ("10.00", None)),
        (0.0, None, ("0", None)),
        (-0.0, None, ("0", None)),
        (5.0, 0.0, ("5.000", "0")),
        (5.0, math.inf, ("5.000", None)),
        (math.nan, 1.0, ("nan", None)),
    ],
)
def test_a_value_stops_where_its_half_width_does(value, half_width, expected):
    assert rounded(value, half_width) == expected


def test_two_digits_and_the_nearest_number_whatever_the_scale():
    rng = random.Random(0)
    for _ in range(2000):
        half = rng.uniform(1, 10) * 10 ** rng.randint(-8, 8)
        value = rng.gauss(0, 1) * half * 10 ** rng.uniform(-2, 4)
        text, spread = rounded(value, half)
        unit = 10.0 ** (math.floor(math.log10(float(spread))) - 1)
        assert abs(float(spread) - half) <= unit / 2 * (1 + 1e-9)
        assert abs(float(text) - value) <= unit / 2 * (1 + 1e-9)
        assert len(spread.replace(".", "").strip("0")) <= 2
        assert ("." in text) == ("." in spread)
        assert len(text.partition(".")[2]) == len(spread.partition(".")[2])
        assert not (text.startswith("-") and float(text) == 0)


@pytest.mark.parametrize(
    ("value", "half_width", "expected"),
    [(1.9, 0.43, "+1.90"), (-1.9, 0.43, "-1.90"), (-0.004, 0.43, "0.00"), (0.004, 0.43, "0.00"), (2.0, None, "+2.000")],
)
def test_zero_has_no_sign(value, half_width, expected):
    assert signed(value, half_width)[0] == expected


@pytest.mark.parametrize(
    ("p", "text"),
    [(1.0, "1.0"), (0.27, "0.27"), (0.0055179, "0.0055"), (0.0009, "<0.001"), (0.0, "<0.001"), (0.0996, "0.10")],
)
def test_p(p, text):
    assert probability(p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (140_800_000, "141 M"),
        (999_960, "1.00 M"),
        (12, "12"),
        (1000, "1.00 k"),
        (2.4e9, "2.40 G"),
        (3e15, "3.00 P"),
    ],
)
def test_prefixes(value, text):
    assert scaled(value) == text


def test_published_numbers_keep_the_decimals_in_which_they_were_printed():
    assert decimals(15.33) == 2
    assert decimals(3.0) == 0
    assert decimals(13.21, 5.0) == 2
    assert decimals(0.1 + 0.2) == 1
