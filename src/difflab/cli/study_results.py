"""`study.py STUDY table | report | sync`, and `study.py compare RUN_A RUN_B ...`: runs outside of a study."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from difflab.cli.entry import Words
from difflab.files import write_text
from difflab.metrics import MetricInfo
from difflab.reading import parse_yaml, printable
from difflab.reading.json import dumps
from difflab.runtime.invocation import installation
from difflab.studies import Evidence, StudyError, execution
from difflab.studies.compare import as_data, as_text
from difflab.studies.compare import compare as compared
from difflab.studies.evidence import gather
from difflab.studies.execution import look_at_runs
from difflab.studies.planning import Plan
from difflab.studies.planning.plan_cache import Request, current_plan
from difflab.studies.report import ablation_table
from difflab.studies.report.grids import side_by_side
from difflab.studies.report.table_markup import renderers
from difflab.studies.statistics import Verdict, verdicts

OF_COMPARE = ("waive", "out", "info")


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
        raise StudyError(execution.why_no_result(plan))
    text = forms[name]().render(ablation_table(evidence, found, allows))
    if not out:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return
    write_text(Path(out), text)
    print(Path(out))


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

    given = request.options.get("pictures", "")
    if given and not given.isdigit():
        raise ValueError(
            f"pictures={given}: expected kilobytes of samples and strips in the page at most, or 0 for none"
        )
    plan, evidence, found = _found(request)
    if not any(arm.replicates for arm in evidence.arms.values()):
        raise StudyError(execution.why_no_result(plan))
    out, limit = Path(request.options.get("out", plan.root / "report.html")), 1000 * int(given) if given else None
    page = write_report(evidence, execution.states(plan), out, pictures=limit, noise=plan.noise)
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

    done = upload(current_plan(request, request.of_runs).root, print)
    print(done)
    if done.failed:
        sys.exit(1)


def _found(request: Request) -> tuple[Plan, Evidence, dict[str, Verdict]]:
    plan = current_plan(request, request.of_runs)
    evidence = replace(gather(plan), remarks=execution.look(plan))
    return plan, evidence, verdicts(evidence, plan.study.evaluation.decides)


def _allows_missing(request: Request) -> bool:
    given = request.options.get("missing", "refuse")
    if given not in ("allow", "refuse"):
        raise ValueError(f"missing={given}: allow or refuse")
    return given == "allow"


def compare(words: Sequence[str]) -> None:
    """Prints the configurations and numbers of runs side by side, and writes a picture of the samples.

    Args:
        words: Run directories, waive=[FIELD,...], info={METRIC: {higher_is_better: true}}, out=PICTURE.png, --json.
    """
    parser = Words("", "compare takes run directories, waive=[...], info={...}, out=PICTURE.png and --json")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_intermixed_args(list(words))
    pairs = [(word, *word.partition("=")[::2]) for word in asked.words]
    given = {key: value for word, key, value in pairs if "=" in word and "/" not in key}
    for key in given:
        if key not in OF_COMPARE:
            raise StudyError(f"compare has no option {key}: there are {', '.join(OF_COMPARE)}")
    waived = [field.strip() for field in given.get("waive", "").strip("[]").split(",") if field.strip()]
    found = compared([word for word, key, _ in pairs if key not in given], waived, _stated(given.get("info", "{}")))
    found = replace(found, notes=[*found.notes, *look_at_runs(run.path for run in found.runs)])
    print(dumps(as_data(found), indent=2) if asked.json else printable(as_text(found)))
    if "out" in given:
        picture = side_by_side({run.name: run.path for run in found.runs}, given["out"])
        print(f"samples  {picture or 'none of the runs has drawn any'}", file=sys.stderr)
    elif not asked.json:
        print("\nout=samples.png puts the samples side by side")


def _stated(text: str) -> dict[str, MetricInfo]:
    """What a person says of metrics whose results say nothing."""
    try:
        node = parse_yaml(text, "info")
        if not isinstance(node, dict):
            raise ValueError("expected {METRIC: {higher_is_better: true}}")
        return {str(metric): MetricInfo.read(one, f"info.{metric}") for metric, one in node.items()}
    except ValueError as error:
        raise StudyError(f"info={text}: {' '.join(str(error).split())}") from error
