"""`study.py compare RUN_A RUN_B ...`: runs outside of a study."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from difflab.metrics import MetricInfo
from difflab.reading import parse_yaml, printable
from difflab.runtime.invocation import command
from difflab.strict_json import dumps
from difflab.studies import StudyError
from difflab.studies.compare import as_data, as_text
from difflab.studies.compare import compare as compared
from difflab.studies.execution import look_at_runs
from difflab.studies.report.grids import side_by_side

OPTIONS = ("waive", "out", "info")


def compare(words: Sequence[str]) -> None:
    """Prints configurations and numbers side by side, and writes a picture of the samples.

    words   run directories, waive=[FIELD,...], info={METRIC: {higher_is_better: true}}, out=PICTURE.png, --json
    """
    for flag in [word for word in words if word.startswith("--") and word != "--json"]:
        raise StudyError(f"compare has no {flag}; there is --json")
    given = dict[str, str]()
    for word in words:
        key, equals, value = word.partition("=")
        if equals and "/" not in key:
            if key not in OPTIONS:
                raise StudyError(f"compare has no option {key}: there are {', '.join(OPTIONS)}")
            given[key] = value
    runs = [word for word in words if not word.startswith("--") and word.partition("=")[0] not in given]
    if len(runs) < 2:
        raise StudyError(f"compare takes two run directories at least: {command('study compare RUN_A RUN_B')}")
    waived = [field.strip() for field in given.get("waive", "").strip("[]").split(",") if field.strip()]
    found = compared(runs, waived, _stated(given.get("info", "{}")))
    found = replace(found, notes=[*found.notes, *look_at_runs(run.path for run in found.runs)])
    print(dumps(as_data(found), indent=2) if "--json" in words else printable(as_text(found)))
    if "out" in given:
        picture = side_by_side({run.name: run.path for run in found.runs}, given["out"])
        print(f"samples  {picture or 'none of the runs has drawn any'}", file=sys.stderr)
    elif "--json" not in words:
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
