"""What the files of offline W&B runs hold."""

import json
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as wandb_records

from difflab.runs import RunDirectory, read_metrics
from difflab.runs.wandb.mirror import STEP
from difflab.runs.wandb.offline_file import records as records_of

OFFLINE = ("logger=[wandb]", "logger.wandb.mode=offline", "data.num_workers=1")
SPEEDS = ("train/images_per_second", "train/data_wait_share")
SHORT = (
    "trainer.max_steps=8",
    "eval.every=8",
    "checkpoint.every=4",
    "eval.num_samples=16",
    "eval.grid=10",
    "data.batch_size=16",
)


def named(items) -> dict:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def records(run: Path) -> list[wandb_records.Record]:
    """Of all starts, in order; a torn tail is left out."""
    files = sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    return [record for file in files for _, record in records_of(file)]


def history(run: Path) -> list[dict]:
    return [
        named(record.history.item) | {"_step": record.history.step.num}
        for record in records(run)
        if record.WhichOneof("record_type") == "history"
    ]


def summarised(run: Path) -> dict:
    found: dict = {}
    for record in records(run):
        if record.WhichOneof("record_type") == "summary":
            found |= named(record.summary.update)
    return found


def check_every_line_is_there_once(run: RunDirectory) -> None:
    """With its own step as the axis of charts. A step that was done again after a crash has other speeds, and nothing else is other."""
    lines = history(run.path)
    rows = read_metrics(run.metrics)
    assert [line["_step"] for line in lines] == [line[STEP] for line in lines] == [row["step"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        names = row.keys() - {"step", *SPEEDS}
        assert {name: line[name] for name in names} == {name: row[name] for name in names}
        assert line.keys() >= row.keys() - {"step"}
