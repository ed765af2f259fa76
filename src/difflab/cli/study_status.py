"""`study.py STUDY status`. What is known from the last plan is shown at once: torch is imported only to plan anew."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console

from difflab.cli.study import divided
from difflab.reading import read_json
from difflab.strict_json import dumps
from difflab.studies import execution as running
from difflab.studies.cost import notes_of, told_notes
from difflab.studies.execution import Planned
from difflab.studies.planning.plan_cache import Request, current_plan


def status(request: Request) -> None:
    """Shows where every cell is."""
    plan = current_plan(request, divided(request.overrides)[0])
    found = running.states(plan, running.ask(plan.root))
    if "--json" in request.flags:
        print(dumps(running.as_json(found) | {"cited": list(plan.cited)}, indent=2))
    elif "--watch" in request.flags:
        running.watch(lambda: running.states(plan, running.ask(plan.root)), Console())
    else:
        running.show(found, Console())
        for line in plan.cited:
            print(f"cited {line}")
        for line in _notes(plan):
            print(f"note  {line}")
        print(f"runs  {plan.root.resolve()}")


def _notes(plan: Planned) -> list[str]:
    """What finished evaluations have to say of their numbers."""
    found = {}
    for cell in plan.cells:
        file = plan.training(cell).directory / cell.folder / "results.json"
        with suppress(OSError, ValueError, AttributeError, KeyError):
            found[cell.row, cell.seed] = notes_of(read_json(file)["subject"])
    return told_notes(found)
