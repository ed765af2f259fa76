"""`study.py STUDY table | report | sync`."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from difflab.cli.study import divided
from difflab.files import write_text
from difflab.runtime.invocation import command, installation
from difflab.studies import Evidence, execution
from difflab.studies.gather import gather
from difflab.studies.planning import Plan
from difflab.studies.planning.plan_cache import Request, current_plan
from difflab.studies.report import ablation_table
from difflab.studies.report.table_markup import renderers
from difflab.studies.statistics import Verdict, verdicts


def table(request: Request) -> None:
    """Prints the ablation table, or writes it."""
    out = request.options.get("out")
    forms = renderers()
    by_suffix = {form.suffix: name for name, form in forms.items()}
    name = request.options.get("format", by_suffix.get(Path(out).suffix, "") if out else "markdown")
    if out and not name:
        raise ValueError(f"out={out}: end it with {', '.join(by_suffix)}, or say format=...")
    if name not in forms:
        raise ValueError(f"format={name}: a table is written as {', '.join(forms)}")
    plan, evidence, found = _found(request)
    allows = _allows_missing(request)
    if not allows and not any(arm.replicates for arm in evidence.arms.values()):
        raise ValueError(why_no_result(plan))
    text = forms[name]().render(ablation_table(evidence, found, allows))
    if not out:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return
    path = Path(out)
    write_text(path, text)
    print(path)


def report(request: Request) -> None:
    """Writes the page, or saves a W&B report."""
    if "--wandb" in request.flags:
        from difflab.studies.report.wandb_page import save_report

        plan, evidence, found = _found(request)
        print(save_report(evidence, found, request.options.get("entity"), plan.study.name))
        return
    try:
        from difflab.studies.report import write_report
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"a report needs the package {error.name}: {installation('report')}") from error

    plan, evidence, found = _found(request)
    if not any(arm.replicates for arm in evidence.arms.values()):
        raise ValueError(why_no_result(plan))
    states = execution.states(plan, execution.ask(plan.root))
    page = write_report(evidence, states, Path(request.options.get("out", plan.root / "report.html")))
    print(page)
    if is_mirrored(request, evidence):
        from difflab.studies.report.wandb import mirror_study

        mirror_study(plan, evidence, found, page)


def is_mirrored(request: Request, evidence: Evidence) -> bool:
    """Whether W&B gets the answer: where a run of the study was mirrored, or the command chooses a logger; logger=none leaves it out."""
    asked = any(word.lstrip("+").startswith("logger=") for word in request.overrides)
    runs = [one.run for arm in evidence.arms.values() for one in arm.replicates.values()]
    return asked or any((run / "wandb").is_dir() for run in runs)


def sync(request: Request) -> None:
    """Uploads what offline runs have left."""
    from difflab.runs.wandb.sync import sync as upload

    done = upload(current_plan(request, divided(request.overrides)[0]).root, print)
    print(done)
    if done.failed:
        sys.exit(1)


def _found(request: Request) -> tuple[Plan, Evidence, dict[str, Verdict]]:
    plan = current_plan(request, divided(request.overrides)[0])
    evidence = replace(gather(plan), remarks=execution.look(plan))
    return plan, evidence, verdicts(evidence, plan.study.evaluation.decides)


def why_no_result(plan: Plan) -> str:
    """For a person who asks for a table before there is anything to put into it."""
    found = execution.states(plan, execution.ask(plan.root))
    counts = Counter(cell.state for cell in found if cell.state in ("training", "evaluating", "trained", "queued"))
    if counts:
        active = ", ".join(f"{number} {state}" for state, number in counts.items())
        status = command(f"study {plan.study.name} status")
        return (
            f"there is no result of {plan.study.name} yet ({active}, of {len(found)}): `{status}` shows how far it is"
        )
    return f"there is no result of {plan.study.name} in {plan.root.resolve()}: launch it, or name the place by run.root=..."


def _allows_missing(request: Request) -> bool:
    given = request.options.get("missing", "refuse")
    if given not in ("allow", "refuse"):
        raise ValueError(f"missing={given}: allow or refuse")
    return given == "allow"
