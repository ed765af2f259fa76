"""Runs as jobs on a real SLURM cluster: started there, interrupted, killed, and in the end what they would have been anyway."""

import json
from pathlib import Path

import torch

from difflab.runs import RunDirectory
from running import SMALL, saved_state, train_small
from slurm_cluster import Cluster

TWO_NODES = (*SMALL, "launcher.nodes=2", "launcher.time=10", "run.margin=30")


def run_of(root: Path) -> RunDirectory:
    (config,) = root.glob("*/*/config.yaml")
    return RunDirectory(config.parent)


def test_a_job_on_two_nodes_ends_like_one_process(cluster: Cluster, tmp_path):
    """Two processes add gradients in another order, hence almost."""
    job = cluster.submit(*TWO_NODES, f"run.root={tmp_path}/job")
    alone = train_small(tmp_path / "alone").run
    state = cluster.wait(job, tmp_path / "job" / "slurm")
    assert state["JobState"] == "COMPLETED", cluster.log(job, tmp_path / "job" / "slurm")
    assert state["NumNodes"] == "2"
    run = run_of(tmp_path / "job")
    (history,) = (tmp_path / "job" / "slurm").glob("*/history.json")
    assert [(row["failed"], row["reason"]) for row in json.loads(history.read_text(encoding="utf-8"))] == [
        (False, "complete")
    ]
    assert run.path.name == alone.path.name
    a, b = saved_state(run)["state_dict"], saved_state(alone)["state_dict"]
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], atol=2e-4, rtol=1e-3)
