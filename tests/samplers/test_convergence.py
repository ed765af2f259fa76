"""The orders of convergence that docs/samplers.md tells: on the mixture, against the equation solved to 1e-10 (scripts/convergence.py)."""

from pathlib import Path

import pytest
from scripts import convergence, write_pages

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"


@pytest.mark.parametrize("name", ["`ddim`", "`dpm_solver_pp`", "`dpm_solver_pp`, `order=3`", "`pndm`"])
def test_a_sampler_converges_with_its_order_and_the_page_says_so(name):
    row = convergence.measured(name)
    assert row.is_kept(), row
    assert row.line() in PAGE.read_text(encoding="utf-8").splitlines(), (
        "run python -m scripts.write_pages docs/samplers.md"
    )


@pytest.mark.slow
def test_all_samplers_converge_with_their_orders_and_the_page_says_so():
    wrong = [row for row in map(convergence.measured, convergence.SAMPLERS) if not row.is_kept()]
    assert not wrong
    text = PAGE.read_text(encoding="utf-8")
    assert write_pages.written(text) == text, "run python -m scripts.write_pages docs/samplers.md"
