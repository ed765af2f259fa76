"""One pass over many cases finds what a test for each would find."""

pytest_plugins = ["pytester"]

TESTS = """
from one_pass import each
import pytest

@pytest.fixture
def limit():
    return 3

@each("number", [1, 5, 2, 7])
def test_small(number, limit):
    assert number < limit

@each(("a", "b"), [(1, "x"), (2, "y")])
def test_pairs(b, a):
    if a == 1:
        return
    raise KeyError(b)

@each("word", ["here", "there"])
def test_right(word):
    assert word.endswith("here")
"""


def test_every_case_that_fails_is_named(pytester):
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    told = result.stdout.str()
    for line in ("[5] test_", "[7] test_", "[2-y] test_", "contains 2 failed subtests", "contains 1 failed subtest"):
        assert line in told, told
    assert "[1] test_" not in told
    assert "[1-x] test_" not in told
    result.assert_outcomes(passed=1, failed=5)
