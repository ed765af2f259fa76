"""docs/concepts/diffusion.md: equations name functions that exist, lines print what stands behind them, and all is evaluated anew."""

import contextlib
import inspect
import io
import re
from dataclasses import dataclass

import equations
import equations_drawn  # noqa: F401  its checks
import equations_learnt  # noqa: F401  its checks
import pytest
from documented import ROOT
from hydra.utils import get_object

PAGE = ROOT / "docs" / "concepts" / "diffusion.md"


@dataclass(frozen=True)
class Equation:
    """A section of the page.

    Attributes:
        title: Its heading.
        functions: Those of difflab that compute it, dotted.
        source: Where it stands in its paper.
        formulas: In LaTeX.
        lines: Python that evaluates it.
    """

    title: str
    functions: tuple[str, ...]
    source: str
    formulas: tuple[str, ...]
    lines: str

    def __str__(self) -> str:
        return self.title


def fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def sections() -> list[Equation]:
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        title, _, named, *_ = section.split("\n", 3)
        functions, _, source = named.partition(" · ")
        body = section.partition("\n## ")[0]
        lines = "".join(fences(body, "python"))
        found.append(
            Equation(title, tuple(re.findall(r"`([\w.]+)`", functions)), source, tuple(fences(body, "math")), lines)
        )
    return found


EQUATIONS = sections()


@pytest.mark.parametrize("equation", EQUATIONS, ids=str)
def test_an_equation_stands_beside_its_function_its_number_and_lines_that_evaluate_it(equation):
    assert equation.functions
    assert re.search(r"\b(eq\. \d+|section \d)", equation.source) or "algorithm" in equation.source, equation.source
    assert equation.formulas
    for name in equation.functions:
        assert name.startswith("difflab."), name
        assert callable(get_object(name)), name
        assert re.search(rf"\b{name.rpartition('.')[2]}\(", equation.lines), f"{name} is not called beside the equation"


@pytest.mark.parametrize("equation", EQUATIONS, ids=str)
def test_an_equation_is_what_its_function_computes(equation):
    assert equation.title in equations.CHECKS, f"no test of tests/docs/equations_*.py evaluates {equation.title!r}"
    check = equations.CHECKS[equation.title]
    for name in equation.functions:
        assert name.rpartition(".")[2] in inspect.getsource(check), (
            f"the test of {equation.title!r} does not ask {name}"
        )
    check()


def test_no_test_is_of_an_equation_that_the_page_has_not():
    assert equations.CHECKS.keys() == {equation.title for equation in EQUATIONS}
    assert len(EQUATIONS) == len({equation.title for equation in EQUATIONS})


def test_lines_print_what_stands_behind_them():
    """Numbers to all the digits that are written; tensors as their numbers, one after the other."""
    text = PAGE.read_text(encoding="utf-8")
    names, compared = {"__name__": "page"}, 0
    for block in fences(text, "python"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block, str(PAGE), "exec"), names)
        printed = re.findall(_NUMBER, re.sub(r"dtype=torch\.\w+|grad_fn=<.*?>", "", out.getvalue()))
        promised = [
            number
            for comment in re.findall(r"^print\(.*\)\n# (.*)$", block, re.MULTILINE)
            for number in re.findall(_NUMBER, comment)
        ]
        assert len(printed) == len(promised), f"{block}\nprints\n{out.getvalue()}"
        for is_, said in zip(printed, promised, strict=True):
            assert abs(float(is_) - float(said)) <= _half_a_digit(said) + 1e-12, f"{block}\nprints {is_}, not {said}"
        compared += len(promised)
    assert compared > 50


_NUMBER = r"-?\d+\.?\d*(?:e[+-]?\d+)?"


def _half_a_digit(number: str) -> float:
    mantissa, _, exponent = number.partition("e")
    return 0.51 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
