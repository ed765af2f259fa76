"""How long planning, status, table and report of a large study take.

    python benchmarks/studies.py --rows 200 --seeds 5 --lines 300 --out benchmarks/results/<date>-studies.json

A study of rows x seeds is planned for real; then each of its runs gets a directory with the files that a finished training and its
evaluation leave (metrics of so many lines, provenance, pictures, results), and status, table and report read them. Seconds of wall clock
and of processor time, each in this process, after the imports, whose own time stands beside them.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

SCHEDULES = ("cosine", "linear", "sigmoid", "sqrt")
NORMS = ("adagn", "addgn")
WIDTHS = (32, 48, 64)


def study(rows: int, seeds: int) -> dict[str, Any]:
    """A study whose rows differ in schedule, norm, width and learning rate."""
    parts = list(itertools.product(SCHEDULES, NORMS, WIDTHS))
    choices = ((*chosen, k / 10000) for k in itertools.count(2) for chosen in parts)
    found = {"baseline": {"overrides": ["optimizer.lr=0.0001"]}}
    for schedule, norm, width, lr in itertools.islice(choices, rows - 1):
        changes = {"schedule": schedule != "cosine", "network": norm != "adagn" or width != 48, "optimizer.lr": True}
        found[f"{schedule}-{norm}-{width}-{lr:.4f}"] = {
            "change": [key for key, changed in changes.items() if changed],
            "overrides": [
                f"schedule={schedule}",
                f"network/norm={norm}",
                f"network.width={width}",
                f"optimizer.lr={lr}",
            ],
        }
    return {
        "question": "How long does a large study take?",
        "baseline": "baseline",
        "seeds": list(range(seeds)),
        "experiment": "cosine_adagn",
        "overrides": ["logger=none"],
        "evaluation": {
            "decides": "fd_digits",
            "metrics": ["fd_digits", "is_digits"],
            "overrides": ["num_samples=1000"],
        },
        "rows": found,
    }


def finish(plan: Any, lines: int) -> None:
    """Writes what training and evaluation would have left."""
    from PIL import Image

    from difflab.evaluation import Measurement, Results
    from difflab.evaluation.results import recognised
    from difflab.metrics import Protocol

    picture = Image.effect_noise((200, 200), 80)
    for training in plan.trainings:
        run, chance = training.directory, random.Random(f"{training.identity}")
        (run / "samples").mkdir(parents=True)
        rows = []
        for i in range(1, lines + 1):
            step = training.steps * i // lines
            loss = 1 / i + 0.02 * chance.random()
            row = {"step": step, "train/loss": loss, "train/images": step * 128.0, "train/images_per_second": 500.0}
            row |= {f"train/loss_q{q}": loss * q for q in range(1, 5)}
            if i % (lines // 4) == 0:
                row |= {"eval/warm_up/fd_digits@1k": 10 + 90 / i + chance.random(), "eval/warm_up/is_digits@1k": 9.0}
            rows.append(json.dumps(row))
        (run / "metrics.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        start = {"started": "2026-01-01T00:00:00+00:00", "host": "node1", "gpus": [], "git": {"commit": "0" * 40}}
        end = {"outcome": "complete", "to_step": training.steps, "images": training.steps * 128, "seconds": 100.0}
        (run / "provenance.json").write_text(
            json.dumps([start | {"command": "train.py", "from_step": 0} | end]), encoding="utf-8"
        )
        (run / "complete.json").write_text(json.dumps({"step": training.steps}), encoding="utf-8")
        for step in (250, 500, 750, 1000):
            picture.save(run / "samples" / f"warm_up_{step:08d}.png")
    for cell in plan.cells:
        chance = random.Random(f"{cell.row} {cell.seed}")
        fields = {
            "extractor": {"name": "digits"},
            "track": "warm_up",
            "samples": 1000,
            "seeds": f"{cell.seed * 1000} .. {cell.seed * 1000 + 999}",
        }
        protocols = {name: Protocol.of(fields | {"metric": {"name": name}}) for name in ("fd_digits", "is_digits")}
        found = [
            Measurement(name, 9.0 + chance.random(), 1000, protocol, 0.3, 100, recognised(name, protocol))
            for name, protocol in protocols.items()
        ]
        file = plan.results(cell)
        file.parent.mkdir(parents=True)
        steps = plan.training(cell).steps
        file.write_text(Results(found, {"seed": cell.seed, "step": steps}).to_json(), encoding="utf-8")


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=300, help="of each run's metrics.jsonl")
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args()
    seconds: dict[str, dict[str, float]] = {}

    def imports() -> None:
        import difflab.cli.study_results
        import difflab.cli.study_runs
        import difflab.studies.report  # noqa: F401

    _, seconds["imports"] = timed(imports)
    from difflab.studies import execution, gather, load_study
    from difflab.studies.planning.planning import plan_study
    from difflab.studies.report import Csv, ablation_table, write_report
    from difflab.studies.statistics import verdicts

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large" / "study.yaml"
        file.parent.mkdir()
        file.write_text(yaml.safe_dump(study(options.rows, options.seeds), sort_keys=False), encoding="utf-8")
        plan, seconds["plan"] = timed(
            lambda: plan_study(load_study(file), [f"run.root={folder}/runs"], None, "network.width")
        )
        finish(plan, options.lines)
        states, seconds["status"] = timed(lambda: execution.states(plan, execution.ask(plan.root)))
        assert {state.state for state in states} == {"done"}
        evidence, seconds["gather"] = timed(lambda: gather(plan))
        found, seconds["verdicts"] = timed(lambda: verdicts(evidence, "fd_digits"))
        _, seconds["table"] = timed(lambda: Csv().render(ablation_table(evidence, found)))
        page, seconds["report"] = timed(lambda: write_report(evidence, states, Path(folder) / "report.html"))
        size = page.stat().st_size
    report = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "runs": len(plan.trainings),
        "rows": options.rows,
        "lines": options.lines,
        "page_bytes": size,
        "seconds": seconds,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
