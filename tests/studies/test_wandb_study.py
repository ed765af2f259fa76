"""A study's answer in W&B: the table with verdicts, the numbers by seed, the page."""

from dataclasses import replace
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as wandb_records

from difflab.cli.study_results import is_mirrored
from difflab.runs.wandb.offline_file import records
from difflab.studies.evidence import gather
from difflab.studies.planning.plan_cache import Request
from difflab.studies.report.wandb import mirror_study
from difflab.studies.statistics import verdicts
from fabricated import finish, measured, planned, study

NODE = {"_target_": "difflab.runs.wandb.weights_and_biases", "project": "difflab", "mode": "offline", "tags": "paper"}


def sent(root: Path) -> list[wandb_records.Record]:
    return [record for file in root.glob("wandb/offline-run-*/*.wandb") for _, record in records(file)]


def test_table_and_page_are_sent_where_a_run_was_mirrored_or_where_that_is_asked_for(tmp_path):
    plan = planned(tmp_path, study({"base": {}, "new": {"label": "new norm"}}))
    for row, values in {"base": [10, 11, 12], "new": [8, 9, 10.3]}.items():
        for seed, value in enumerate(values):
            finish(plan, row, seed, [measured("fid", value, seed)])
    evidence = gather(plan)
    arms = {name: replace(arm, config={"logger": {"wandb": NODE}}) for name, arm in evidence.arms.items()}
    evidence, found = replace(evidence, arms=arms), verdicts(evidence, "fid")
    page = tmp_path / "report.html"
    page.write_text("<p>the page", encoding="utf-8")

    def tell(*words: str) -> None:
        if is_mirrored(Request("x", tmp_path, "report", frozenset(), {}, words), evidence):
            mirror_study(plan, evidence, found, page)

    tell()
    assert not sent(plan.root)
    tell("logger=wandb")
    records = sent(plan.root)
    run = [record.run for record in records if record.WhichOneof("record_type") == "run"][-1]
    assert (run.project, run.job_type, list(run.tags)) == (plan.study.name, "study", ["paper"])
    (line,) = [record.history for record in records if record.WhichOneof("record_type") == "history"]
    found_items = {".".join(item.nested_key): item.value_json for item in line.item}
    assert (found_items["study.nrows"], found_items["seeds.nrows"], found_items["report._type"]) == (
        "2",
        "6",
        '"html-file"',
    )
    summary = {update.key: update.value_json for record in records for update in record.summary.update}
    assert summary["verdict/new"] == f'"{found["new"].outcome.value}"'
