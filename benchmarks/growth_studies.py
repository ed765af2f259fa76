"""How planning, status, results and report grow with the runs of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.contest import clocked
from benchmarks.growth_point import Point, curve
from benchmarks.record import Measurement
from benchmarks.settings import Settings
from benchmarks.studies import finish, study

SEEDS = 4
LESS = "1, less a fixed part"


@dataclass(frozen=True)
class FinishedStudy:
    """A study of made-up runs, planned for real, whose every stage can be done again."""

    folder: Path
    plan: Any

    @classmethod
    def made(cls, folder: Path, rows: int, lines: int) -> FinishedStudy:
        file = folder / "large" / "study.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump(study(rows, SEEDS), sort_keys=False), encoding="utf-8")
        plan = planned(folder)
        finish(plan, lines)
        return cls(folder, plan)

    def planned(self) -> None:
        planned(self.folder)

    def status(self) -> Any:
        from difflab.studies import execution

        return execution.states(self.plan, execution.ask(self.plan.root))

    def results(self) -> Any:
        """From the files to the verdicts and the table."""
        from difflab.studies import gather
        from difflab.studies.report import Csv, ablation_table
        from difflab.studies.statistics.verdict import verdicts

        evidence = gather(self.plan)
        Csv().render(ablation_table(evidence, verdicts(evidence, "fd_digits")))
        return evidence

    def report(self) -> None:
        from difflab.studies.report import write_report

        write_report(self.results(), self.status(), self.folder / "report.html")


def planned(folder: Path) -> Any:
    from difflab.studies import load_study
    from difflab.studies.planning.planning import plan_study

    file = folder / "large" / "study.yaml"
    return plan_study(load_study(file), [f"run.root={folder}/runs"], None, "network.width")


def measure(settings: Settings) -> Iterator[Measurement]:
    rows = (2, 3) if settings.quick else (8, 16, 32)
    lines = 8 if settings.quick else 100
    studies = {SEEDS * n: FinishedStudy.made(settings.scratch / f"study-{n}", n, lines) for n in rows}
    stages: dict[str, Callable[[FinishedStudy], object]] = {
        "status": FinishedStudy.status,
        "table": FinishedStudy.results,
        "report": FinishedStudy.report,
    }
    # a plan counts the operations of six networks first, which takes longer than all of the others
    points = [Point(runs, clocked(one.planned)) for runs, one in studies.items()]
    yield curve("plan of a study against runs", "s", "runs", LESS, points, min(3, settings.rounds), warm_up=0)
    for name, stage in stages.items():
        points = [Point(runs, clocked(lambda one=one, do=stage: do(one))) for runs, one in studies.items()]
        yield curve(f"{name} of a study against runs", "s", "runs", LESS, points, settings.rounds, settings.warm_up)
