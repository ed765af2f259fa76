"""Many small cases in one test, where a test for each would cost more than the cases do.

    @each("name", NAMES)
    def test_it_composes(name, composed): ...

reads like `pytest.mark.parametrize` and is one test that goes through all the cases, whatever fails on the way: pytest's subtests report
every case that does, by name. Fixtures are made once for all of them, hence a test that writes into `tmp_path` is none for it.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def each(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One test that goes through `cases`.

    Args:
        names: The arguments that a case gives, as `pytest.mark.parametrize` takes them.
        cases: A value for each case, or as many values as there are names.
    """
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    values = [(case,) if isinstance(names, str) and len(keys) == 1 else tuple(case) for case in cases]
    assert values, "a test of nothing"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(test)
        fixtures = [parameter for name, parameter in signature.parameters.items() if name not in keys]

        @functools.wraps(test)
        def one_pass(subtests: pytest.Subtests, **made: Any) -> None:
            for case in values:
                with subtests.test("-".join(map(_label, case))):
                    test(**dict(zip(keys, case, strict=True)), **made)

        of_pytest = inspect.Parameter("subtests", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        one_pass.__signature__ = signature.replace(parameters=[of_pytest, *fixtures])  # type: ignore[attr-defined]
        return one_pass

    return decorate


def _label(value: Any) -> str:
    """What a case is called in the report."""
    return str(getattr(value, "__name__", value)).replace("\n", " ")[:80]
