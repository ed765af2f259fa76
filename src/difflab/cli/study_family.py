"""`study.py FAMILY table`: one table of all studies of a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from difflab.files import write_text
from difflab.studies import load_study
from difflab.studies.catalogue import find_family
from difflab.studies.evidence import gather
from difflab.studies.execution import StudyFolder, look
from difflab.studies.planning.plan_cache import Request, current_plan, recall
from difflab.studies.report.family import Answered, family_csv, family_grid
from difflab.studies.report.table_text import GridRenderer
from difflab.studies.spec import Study
from difflab.studies.statistics import verdicts

CSV = "csv"


def table(request: Request) -> None:
    """Prints the table, or writes it; what has no result is in it as not run."""
    family = find_family(request.study)
    assert family is not None, "the command has found it"
    forms = {form.name: form for form in GridRenderer.__subclasses__()}
    by_suffix = {form.suffix: name for name, form in forms.items()} | {".csv": CSV}
    out = request.options.get("out")
    name = request.options.get("format", by_suffix.get(Path(out).suffix, "") if out else "markdown")
    if name not in (*forms, CSV):
        said = f"format={name}" if name else f"out={out}"
        raise ValueError(f"{said}: the table of a folder of studies is written as {', '.join((*forms, CSV))}")
    for key in request.options.keys() - {"format", "out"}:
        raise ValueError(f"{key} belongs to one study: a table of a folder of them shows what there is")
    found = [
        _answered(request._replace(study=called, file=file))
        for called, file in zip(family.studies, family.files, strict=True)
    ]
    text = family_csv(found) if name == CSV else forms[name]().written(family_grid(found))
    if out:
        write_text(Path(out), text)
        print(Path(out))
    else:
        sys.stdout.write(text)


def _answered(request: Request) -> Answered:
    """By the study's last plan. One that was never launched is not planned for this: that would take seconds, and show nothing."""
    study = load_study(request.file)
    plan = recall(request, request.of_runs)
    if plan is None and StudyFolder(_root(study, request.of_runs)).path.is_dir():
        plan = current_plan(request, request.of_runs)
    evidence = None if plan is None else gather(plan)
    if plan is None or evidence is None or not any(arm.replicates for arm in evidence.arms.values()):
        return Answered(study, None, {})
    if not any(arm.missing for arm in evidence.arms.values()):  # else nothing is shown that would be a look
        evidence = replace(evidence, remarks=look(plan, related=False))
    return Answered(study, evidence, verdicts(evidence, study.evaluation.decides))


def _root(study: Study, overrides: Sequence[str]) -> Path:
    """Where its runs would be."""
    given = [word.partition("=")[2] for word in (*study.overrides, *overrides) if word.startswith("run.root=")]
    return Path(given[-1] if given else "runs") / study.name
